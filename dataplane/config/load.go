package config

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// The defaults of paths.
const (
	DefaultSocket = "/run/linkseal/linkseal.sock"
	DefaultState  = "/var/lib/linkseal"
)

// Load reads the file at path. The Config is never nil: with an error it has
// what could be read, so that later stages can still name what is wrong with
// that. The error is strict.Problems.
func Load(path string) (*Config, error) {
	text, err := read(path)
	if err != nil {
		var pe *fs.PathError
		what := err.Error()
		if errors.As(err, &pe) {
			what = pe.Err.Error()
		}
		c := &Config{File: path, doc: strict.Parse(path, "", false)}
		return c, strict.Problems{{Pos: strict.Pos{File: path}, What: "the configuration cannot be read: " + what, Accepted: "a readable file"}}
	}
	return Parse(path, text)
}

func read(path string) (string, error) {
	// O_NONBLOCK: a FIFO that nobody writes must not hang a reload.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, strict.MaxSize+1))
	return string(text), err
}

// Parse reads text, the content of the file at path. Its result is Load's.
func Parse(path, text string) (*Config, error) {
	c := &Config{File: path, doc: strict.Parse(path, text, false), places: map[string]strict.Pos{}}
	d := &decoder{Config: c, users: map[string]map[string]strict.Pos{}}
	d.file(c.doc.Root().Fields("the configuration", "version", "name", "control", "metrics", "state", "sealing", "keychains", "ports", "tunnels"))
	return c, c.doc.Problems().Err()
}

// decoder fills a Config and remembers where things are.
type decoder struct {
	*Config
	// users are the names in use, by kind: "port", "device", "address"...
	users   map[string]map[string]strict.Pos
	tunnels []strict.Fields // of Tunnels, for what is held against others
	// kinds are who uses a keychain of a file: port or tunnel.
	kinds map[string]string
}

func (d *decoder) file(f strict.Fields) {
	f.Need("version", "1").OneOf("", "1")
	d.Name = d.text(f.Get("name"), "", "a name of 1 to 253 characters", func(s string) bool { return len(s) <= 253 })
	control := f.Get("control").Fields("control", "socket", "group")
	d.Socket = d.absolute(control.Get("socket"), DefaultSocket)
	d.note("control.socket", control.Get("socket"))
	if len(d.Socket) > 107 { // sockaddr_un
		control.Get("socket").Wrong("socket is longer than a socket's address can be", "a path of up to 107 octets")
	}
	d.Group = d.text(control.Get("group"), "", "the name or number of a group", groupForm.MatchString)
	d.metrics(f.Get("metrics"))
	d.State = d.absolute(f.Get("state"), DefaultState)
	d.note("state", f.Get("state"))
	d.sealing(f.Get("sealing"))
	d.keychains(f.Get("keychains"))
	const ports = "a list of ports, at least one"
	list := f.Get("ports").List("a port", ports)
	for i, v := range list {
		d.port(i, v)
	}
	for i, v := range f.Get("tunnels").List("a tunnel", "a list of tunnels") {
		d.tunnel(i, v)
	}
	d.conflicts()
	// A file torn between two lines must not read as "secure nothing".
	if len(d.Ports)+len(d.Tunnels) == 0 && len(d.doc.Problems()) == 0 {
		d.doc.Add(f.Of().Pos(), "the configuration has no ports", "ports: "+ports)
	}
	d.note("control.group", control.Get("group"))
}

func (d *decoder) metrics(v strict.Value) {
	const accepted = "an address and a port as 127.0.0.1:9469"
	f := v.Fields("metrics", "listen")
	listen := f.Need("listen", accepted)
	s, ok := listen.Text(accepted)
	if !ok {
		return
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil || at.Port() == 0 || at.Addr().IsMulticast() {
		listen.Refuse(accepted)
		return
	}
	d.Metrics = at
}

// note remembers where path is.
func (d *decoder) note(path string, v strict.Value) {
	if v.Given() {
		d.places[path] = v.Pos()
	}
}

// unique reports a name of a kind that is in use already.
func (d *decoder) unique(kind, name string, v strict.Value) {
	if name == "" || !v.Given() {
		return
	}
	if d.users[kind] == nil {
		d.users[kind] = map[string]strict.Pos{}
	}
	if at, dup := d.users[kind][name]; dup {
		v.Wrong(kind+" "+name+" is in use in line "+itoa(at.Line)+" already", "each "+kind+" once")
		return
	}
	d.users[kind][name] = v.Pos()
}

// free tells that nothing of the kind has the name yet.
func (d *decoder) free(kind, name string) bool {
	_, used := d.users[kind][name]
	return !used
}

// relative resolves a path against the configuration file's directory.
func (d *decoder) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.File), path)
}

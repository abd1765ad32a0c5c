package strongswan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// What a packet of vici begins with, and the elements of a message (vici's
// README, "transport protocol" and "message format"). Lengths are big-endian:
// 4 octets before a packet, 1 before a name, 2 before a value.
const (
	cmdRequest  = 0
	cmdResponse = 1

	keyValue  = 3
	listStart = 4
	listItem  = 5
	listEnd   = 6
)

// maxAnswer is the longest answer that is read, in octets.
const maxAnswer = 64 << 10

// LoadSecret loads a PSK under an id, for peers of the identities given alone.
// Of several that serve, charon makes its own AUTH payload with the one that was
// loaded last, and accepts a peer's under any.
//
// Owners are the peers' identities, not ours: charon would else accept one
// peer's PSK of another.
func (c *Client) LoadSecret(id string, owners []string, psk *secret.Key) error {
	_, err := c.give("load-shared", [][2]string{{"id", id}, {"type", "IKE"}}, owners, psk)
	return err
}

// LoadPrivateKey loads a private key, PEM or DER, and returns its id, which is
// made of its public key.
func (c *Client) LoadPrivateKey(key *secret.Key) (id string, err error) {
	said, err := c.give("load-key", [][2]string{{"type", "any"}}, nil, key)
	return said["id"], err
}

// give sends a command whose value data is secret, on a connection of its own:
// the packet is put together in pages of package secret, and zeroed.
func (c *Client) give(command string, fields [][2]string, owners []string, data *secret.Key) (said map[string]string, err error) {
	fail := func(err error) (map[string]string, error) { return nil, fmt.Errorf("charon: %s: %w", command, err) }
	head := packetHead(command, fields, owners)
	if head == nil || data.Len() == 0 || data.Len() > 0xffff {
		return fail(fmt.Errorf("%d octets of data for %d owners: too long, or empty", data.Len(), len(owners)))
	}
	name := []byte{keyValue, 4, 'd', 'a', 't', 'a', byte(data.Len() >> 8), byte(data.Len())}
	length := len(head) + len(name) + data.Len()

	ctx, cancel := c.patient()
	defer cancel()
	s, err := (&net.Dialer{}).DialContext(ctx, "unix", c.path)
	if err != nil {
		return fail(err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })()
	packet := secret.New(make([]byte, 4+length))
	defer packet.Zero()
	erase.Do(func() {
		b := packet.Bytes()
		binary.BigEndian.PutUint32(b, uint32(length))
		n := 4 + copy(b[4:], head)
		n += copy(b[n:], name)
		copy(b[n:], data.Bytes())
	})
	_, err = s.Write(packet.Bytes())
	runtime.KeepAlive(data)
	if err != nil {
		return fail(err)
	}
	if said, err = answer(s); err != nil {
		return fail(err)
	}
	return said, nil
}

// packetHead is a request up to its secret; nil if a field is too long.
func packetHead(command string, fields [][2]string, owners []string) []byte {
	b := append([]byte{cmdRequest, byte(len(command))}, command...)
	value := func(kind byte, key, v string) bool {
		if len(key) > 255 || len(v) > 0xffff {
			return false
		}
		b = append(b, kind)
		if kind == keyValue {
			b = append(append(b, byte(len(key))), key...)
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
		return true
	}
	for _, f := range fields {
		if !value(keyValue, f[0], f[1]) {
			return nil
		}
	}
	if len(owners) > 0 {
		b = append(append(b, listStart, 6), "owners"...)
		for _, o := range owners {
			if !value(listItem, "", o) {
				return nil
			}
		}
		b = append(b, listEnd)
	}
	return b
}

// answer reads the response to a command; its errmsg is an error.
func answer(r io.Reader) (map[string]string, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 1 || n > maxAnswer {
		return nil, fmt.Errorf("an answer of %d octets: %w", n, errShape)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if b[0] != cmdResponse {
		return nil, fmt.Errorf("an answer of type %d: %w", b[0], errShape)
	}
	said := map[string]string{}
	for b = b[1:]; len(b) > 0; {
		if b[0] != keyValue || len(b) < 2 || len(b) < 2+int(b[1])+2 {
			return nil, errShape
		}
		key := string(b[2 : 2+int(b[1])])
		b = b[2+int(b[1]):]
		size := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+size {
			return nil, errShape
		}
		said[key], b = string(b[2:2+size]), b[2+size:]
	}
	if said["success"] != "yes" {
		return nil, errors.New(said["errmsg"])
	}
	return said, nil
}

package strict

import (
	"strings"
	"testing"
	"time"
)

// read decodes a small fixed shape, as a caller does.
func read(text string, secret bool) (string, Problems) {
	d := Parse("f.yaml", text, secret)
	f := d.Root().Fields("the file", "name", "size", "on", "wait", "at", "sub", "list", "kind")
	var got []string
	if s, ok := f.Get("name").Text("a name"); ok {
		got = append(got, s)
	}
	if f.Has("size") {
		got = append(got, time.Duration(f.Get("size").Int(7, 0, 100)).String())
	}
	if f.Get("on").Bool(false) {
		got = append(got, "on")
	}
	f.Get("wait").Duration(0)
	f.Get("at").Time()
	if s := f.Get("kind").OneOf("", "a", "b"); s != "" {
		got = append(got, s)
	}
	sub := f.Get("sub").Fields("sub", "x")
	sub.Need("x", "anything")
	for _, e := range f.Get("list").List("element", "a list of words") {
		if s, ok := e.Text("a word"); ok {
			got = append(got, s)
		}
	}
	return strings.Join(got, " "), d.Problems()
}

func TestRead(t *testing.T) {
	for _, tc := range []struct{ name, text, got, problems string }{
		{"all", "name: 12e4\nsize: 5\non: true\nlist: [0x1, 'a', \"b\", 0o17, 1_000]\nkind: a\n", "12e4 5ns on a 0x1 a b 0o17 1_000", ""},
		{"empty", "", "", "f.yaml:1:1: the file is empty; accepted: a mapping of keys to values"},
		{"a comment alone", "# x\n", "", "f.yaml:1:1: the file is empty; accepted: a mapping of keys to values"},
		{"directive and start", "%YAML 1.2\n---\nname: x\n", "x", ""},
		{"two documents", "---\nname: x\n---\nname: y\n", "", "f.yaml:4:1: a second YAML document; accepted: one document a file"},
		{"not a mapping", "- a\n", "", `f.yaml:1:1: the file is a list; accepted: the keys name, size, on, wait, at, sub, list, kind`},
		{"unknown near", "nmae: x\n", "", `f.yaml:1:1: unknown key "nmae" in the file (did you mean name?); accepted: name, size, on, wait, at, sub, list, kind`},
		{"unknown far", "colour: x\n", "", `f.yaml:1:1: unknown key "colour" in the file; accepted: name, size, on, wait, at, sub, list, kind`},
		{"all at once", "size: 101\non: yes\nwait: 2\nkind: c\n", "7ns", "f.yaml:1:7: size: \"101\"; accepted: a number from 0 to 100\n" +
			"f.yaml:2:5: on: \"yes\"; accepted: true, false\n" +
			"f.yaml:3:7: wait: \"2\"; accepted: a duration as 2s, 500ms, 1h30m or 30d\n" +
			"f.yaml:4:7: kind: \"c\"; accepted: a, b"},
		{"twice", "name: x\nname: y\n", "x", `f.yaml:2:1: "name" is given twice in the file (first in line 1); accepted: each key once`},
		{"empty value", "name:\nsize: 1\n", "1ns", "f.yaml:1:1: name is empty; accepted: a name"},
		{"quoted bool", "on: 'true'\n", "", `f.yaml:1:5: on: "true"; accepted: true, false`},
		{"anchor", "name: &a x\n", "", "f.yaml:1:7: name is a YAML anchor or alias; accepted: a name"},
		{"tag", "name: !!str x\n", "", "f.yaml:1:7: name is a YAML tag; accepted: a name"},
		{"block scalar", "name: |\n  x\n", "", "f.yaml:1:7: name is a block scalar; accepted: a name"},
		{"merge key", "<<: {name: x}\n", "", "f.yaml:1:1: a key of the file is not plain text; accepted: the keys name, size, on, wait, at, sub, list, kind"},
		{"missing", "sub: {}\n", "", "f.yaml:1:6: sub has no x; accepted: x: anything"},
		{"missing in none", "sub: 3\n", "", `f.yaml:1:6: sub: "3"; accepted: the keys x`},
		{"bad time", "at: 2026-11-01\n", "", `f.yaml:1:5: at: "2026-11-01"; accepted: a time as 2026-11-01T00:00:00Z or 2026-11-01T00:00:00+01:00`},
		{"tab", "sub:\n\tx: 1\n", "", `f.yaml:2:1: not YAML: found character '` + "\t" + `' that cannot start any token; accepted: YAML, two spaces a level, no tabs`},
		{"torn", "list: [a, b\n", "", "f.yaml:1:7: not YAML: sequence end token ']' not found; accepted: YAML, two spaces a level, no tabs"},
		{"CRLF and umlauts", "name: ü\r\nlist: [ä, {}]\r\n", "ü ä", "f.yaml:2:11: element is a mapping; accepted: a word"},
		{"not text", "name: \xff\n", "", "f.yaml:1:1: the file is not text; accepted: YAML in UTF-8"},
		{"deep", "name: " + strings.Repeat("[", 100000), "", "f.yaml:1:39: too deeply nested; accepted: up to 32 levels of [ and {"},
		{"deep in a line", strings.Repeat("- ", 100000), "", "f.yaml:1:4097: too deeply nested; accepted: up to 2048 collections that begin in one line"},
		{"deep in a flow entry", "name: {" + strings.Repeat("? ", 100000), "", "f.yaml:1:4102: too deeply nested; accepted: up to 2048 collections that begin in one line"},
		{"deep by column", strings.Repeat(" ", 2*maxIndent) + "name: x\n", "", "f.yaml:1:513: too deeply nested; accepted: up to 256 columns of indentation"},
		{"wide in a line", "list: [" + strings.Repeat("x, ", 5000) + "{a: 1}]\n", strings.TrimSpace(strings.Repeat("x ", 5000)), "f.yaml:1:15008: element is a mapping; accepted: a word"},
		{"byte order mark", "\ufeffname: x\nsize: 101\n", "x 7ns", "f.yaml:2:7: size: \"101\"; accepted: a number from 0 to 100"},
		{"byte order mark, columns", "\ufeffnmae: x\n", "", `f.yaml:1:1: unknown key "nmae" in the file (did you mean name?); accepted: name, size, on, wait, at, sub, list, kind`},
		{"too long", strings.Repeat("#", MaxSize+1), "", "f.yaml:1:1: the file has 1048577 octets; accepted: up to 1048576"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, problems := read(tc.text, false)
			if got != tc.got {
				t.Errorf("read %q, want %q", got, tc.got)
			}
			if problems.Error() != tc.problems {
				t.Errorf("problems\n%s\nwant\n%s", problems.Error(), tc.problems)
			}
			if (problems.Err() == nil) != (tc.problems == "") {
				t.Error("Err")
			}
		})
	}
}

func TestText(t *testing.T) {
	_, problems := read("size: 1\n\tnmae: x\n", false)
	_, more := read("sub: {y: 1, x: 2}\n", false)
	got := more[0].Text()
	if want := "f.yaml:1:7: unknown key \"y\" in sub (did you mean x?); accepted: x\n    sub: {y: 1, x: 2}\n          ^\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if len(problems) != 1 || !strings.HasSuffix(problems[0].Text(), "^\n") {
		t.Errorf("%v", problems)
	}
}

const leak = "c0ffee11c0ffee22c0ffee33c0ffee44"

func TestSecretShowsNothing(t *testing.T) {
	for _, text := range []string{
		"name: [" + leak + "]\n", leak + ": x\n", leak + ": x\n" + leak + ": y\n", "name:" + leak + "\n", leak, "- " + leak,
		"size: " + leak, "wait: " + leak, "kind: " + leak, "at: " + leak, "on: " + leak, "name: \"" + leak + "\n", "name: !" + leak + "{ x\n",
		"sub: {" + leak + ": 1}", "%YAML " + leak + "\n---\nname: x\n", "name: *" + leak + "\n", "? " + leak + "\n: x\n", "a: b: " + leak, "\"" + leak + "\": {" + leak,
	} {
		_, problems := read(text, true)
		if len(problems) == 0 {
			t.Errorf("%q is accepted", text)
		}
		for _, p := range problems {
			if strings.Contains(p.Text()+p.Error(), leak[:6]) {
				t.Errorf("%q gives away the key: %s", text, p.Text())
			}
		}
	}
}

func TestHide(t *testing.T) {
	for in, want := range map[string]string{
		"destination: 01:80:c2:00:00:03":           "destination: 01:80:c2:00:00:03",
		"path: /etc/linkseal/keys/link1.yaml":      "path: /etc/linkseal/keys/link1.yaml",
		"name: " + leak + " # x":                   "name: [hidden] # x",
		"x: c0:ff:ee:11:c0:ff:ee:22":               "x: [hidden]",
		"{cak: 0011, ckn: ab}":                     "{cak: [hidden]", // in block style, the comma is of the value
		"keychain hub1-psk: open /x: no such file": "keychain hub1-psk: open /x: no such file",
		"psk: horse":                                         "psk: [hidden]",
		"{x: 1, 'psk': 'horse'}":                             "{x: 1, 'psk': [hidden]}",
		"psk_text: \"correct, horse\"":                       "psk_text: [hidden]",
		"psk_text: correct, horse # battery":                 "psk_text: [hidden]",
		"{\"psk_text\": \"a \\\" } ] # , b\", \"x\": 1}":     "{\"psk_text\": [hidden], \"x\": 1}",
		"{psk_text: 'it''s, }', x: 1}":                       "{psk_text: [hidden], x: 1}",
		"psk_text: 'a'   # b":                                "psk_text: [hidden]   # b",
		"psk_text: \"a\" b":                                  "psk_text: [hidden]",
		"psk_text: \"open, ] and":                            "psk_text: [hidden]",
		"[cak: " + leak + "]":                                "[cak: [hidden]",
		"{cak: \"" + leak + "\"}":                            "{cak: [hidden]}",
		"psk_text: correct horse":                            "psk_text: [hidden]",
		"peer: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": "peer: [hidden]",
		"\"password\": 'x'":                                  "\"password\": [hidden]",
		"keychain: link1":                                    "keychain: link1",
		"ethertype: 0x888e, hello: 2s, addresses: [192.0.2.1/30, 198.51.100.2/31]": "ethertype: 0x888e, hello: 2s, addresses: [192.0.2.1/30, 198.51.100.2/31]",
	} {
		if got := Hide(in); got != want {
			t.Errorf("Hide(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "1d12h": 36 * time.Hour, "2s": 2 * time.Second, "720h": 30 * day, "0s": 0, "0": 0, "1.5h": 90 * time.Minute,
		"1.5d": 36 * time.Hour, "0.5d": 12 * time.Hour, ".5d": 12 * time.Hour, "1h1d": 25 * time.Hour, "1m0.5d1s": 12*time.Hour + time.Minute + time.Second, "1d1d": 2 * day, "99999d": 99999 * day,
		"": -1, "d": -1, "-1s": -1, "+1s": -1, "1d-1h": -1, "1d+1h": -1, "5": -1, "1 d": -1, "1d5": -1, "1d ": -1, "1dd": -1, "1.d.": -1, ".d": -1, "1.2.3d": -1, "1D": -1, "1e3d": -1,
		"999999d": -1, "99999d99999d": -1, "2562047h48d": -1, "1.5": -1,
	} {
		got, err := ParseDuration(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("ParseDuration(%q) = %v, %v", text, got, err)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 2 * time.Second: "2s", 30 * day: "30d", time.Hour: "1h", 36 * time.Hour: "36h", 5 * time.Minute: "5m", 90 * time.Minute: "1h30m", time.Hour + 5*time.Second: "1h0m5s", 500 * time.Millisecond: "500ms"} {
		got := FormatDuration(d)
		if back, err := ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("FormatDuration(%v) = %q, want %q; read as %v, %v", int64(d), got, want, back, err)
		}
	}
}

func FuzzSecret(f *testing.F) {
	f.Add("name: x\nlist: [a]\n")
	f.Add("sub:\n  - {x: 1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, secret := range []bool{false, true} {
			_, problems := read(text, secret)
			for _, p := range problems {
				if p.What == "" || p.Accepted == "" || p.File != "f.yaml" {
					t.Errorf("an empty problem: %+v", p)
				}
				if secret && p.Source != "" {
					t.Errorf("a line of a secret file: %+v", p)
				}
				p.Text()
			}
		}
	})
}

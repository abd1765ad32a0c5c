package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	err := command(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	rounds      int
	seconds     int // of a TCP measurement
	only        string
	json        string // file
	linkseal    string // binary
	wireguardGo string // binary
	tcp1        bool   // nothing but TCP of one stream
	verbose     bool   // tell every trial of a UDP rate
}

func parse(args []string) (s settings, err error) {
	f := flag.NewFlagSet("speed", flag.ContinueOnError)
	f.IntVar(&s.rounds, "rounds", 5, "rounds; in each, each contender does each measurement once")
	f.IntVar(&s.seconds, "seconds", 3, "seconds of a TCP measurement; a trial of a UDP rate takes a third, and one at the least")
	f.StringVar(&s.only, "only", "", "contenders, separated by commas, of "+strings.Join(names(all), ", ")+"; without it all that this machine can do")
	f.StringVar(&s.json, "json", "", "write all values to this `file` too")
	f.StringVar(&s.linkseal, "linkseal", "bin/linkseal", "the linkseal to measure")
	f.StringVar(&s.wireguardGo, "wireguard-go", "bin/wireguard-go", "the wireguard-go to compare with")
	f.BoolVar(&s.tcp1, "tcp1", false, "measure TCP of one stream, and nothing else")
	f.BoolVar(&s.verbose, "v", false, "tell every trial of a UDP rate")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("argument %q: only flags are taken", f.Arg(0))
	case s.rounds < 1 || s.rounds > 1000:
		return s, fmt.Errorf("-rounds %d: 1 to 1000", s.rounds)
	case s.seconds < 1 || s.seconds > 60:
		return s, fmt.Errorf("-seconds %d: 1 to 60", s.seconds)
	}
	return s, nil
}

// command measures, and prints the table of the rounds that are whole even if a
// later one fails.
func command(ctx context.Context, args []string) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	for _, tool := range []string{"iperf3", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: make deps", tool)
		}
	}
	chosen, notes, err := choose(s.only)
	if err != nil {
		return err
	}
	b, err := newBench(s)
	if err != nil {
		return err
	}
	b.notes = append(b.notes, notes...)
	defer func() { err = errors.Join(err, b.close()) }()
	for _, c := range chosen {
		if err := b.open(ctx, c); err != nil {
			return fmt.Errorf("%s: %w\n(-only measures the contenders that it names, without the others)", c.name, err)
		}
	}
	r, failed := b.run(ctx, os.Stderr)
	if r.Rounds == 0 {
		return failed
	}
	fmt.Print(r.markdown())
	if s.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(s.json, append(text, '\n'), 0o644)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// choose finds the contenders of -only. Without it those that this kernel
// cannot run are left out, and a note says so.
func choose(only string) (chosen []contender, notes []string, err error) {
	if only == "" {
		for _, c := range all {
			if lacks := c.lacks(); lacks != "" {
				notes = append(notes, c.name+" is not measured: "+lacks)
				continue
			}
			chosen = append(chosen, c)
		}
		return chosen, notes, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(c contender) bool { return c.name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("-only %s: no contender; there are %s", name, strings.Join(names(all), ", "))
		}
		if slices.Contains(names(chosen), name) {
			return nil, nil, fmt.Errorf("-only: %s twice", name)
		}
		if lacks := all[i].lacks(); lacks != "" {
			return nil, nil, fmt.Errorf("-only %s: %s", name, lacks)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil, nil
}

func names(cs []contender) (n []string) {
	for _, c := range cs {
		n = append(n, c.name)
	}
	return n
}

package sealed

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// saverEnv makes the test binary a process that saves in that directory until
// it is killed.
const saverEnv = "LINKSEAL_TEST_SAVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverEnv); dir != "" {
		if err := saveOn(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// saveOn saves what follows the number given, and tells each that is saved.
func saveOn(dir string) error {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	s, err := Open(dir, KeyFile(dir, ""))
	if err != nil {
		return err
	}
	for {
		n++
		if err := s.Save(nth(n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// Killed at any time it has lost nothing that it said was saved.
func TestKilled(t *testing.T) {
	dir, s := inDir(t, 1)
	exe, err := os.Executable()
	must(t, err)
	n := 1
	for range 15 {
		cmd := exec.Command(exe, strconv.Itoa(n))
		cmd.Env = append(os.Environ(), saverEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		told := n
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if told == n {
				// It saves now: the kill comes somewhere in that.
				time.AfterFunc(time.Duration(rand.IntN(8000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
			told, err = strconv.Atoi(lines.Text())
			must(t, err)
		}
		if err := cmd.Wait(); err == nil || told == n {
			t.Fatalf("it saved up to %d from %d, and ended with %v", told, n, err)
		}
		c, err := s.Load()
		must(t, err)
		n = number(t, c)
		if n != told && n != told+1 {
			t.Fatalf("it said that it saved %d; loaded %d", told, n)
		}
	}
}

package wire

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goal is a goal state as the wire server sends one.
const goal = `<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2012-11-30</Version>
  <Incarnation>3</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <LBProbePorts><Port>16001</Port></LBProbePorts>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448._ce-ams-1</InstanceId>
        <State>Started</State>
        <Configuration><HostingEnvironmentConfig>http://168.63.129.16:80/machine/</HostingEnvironmentConfig></Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>`

// platform is a wire server that refuses what Azure's would.
type platform struct {
	*httptest.Server
	goal    string
	refuse  int // as many requests before it answers
	reports []string
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch component := r.URL.Query().Get("comp"); {
	case p.refuse > 0:
		p.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path != "/machine" || r.Header.Get("x-ms-version") != "2012-11-30":
		w.WriteHeader(http.StatusBadRequest)
	case component == "goalstate" && r.Method == http.MethodGet:
		_, _ = io.WriteString(w, p.goal)
	case component == "health" && r.Method == http.MethodPost && r.Header.Get("Content-Type") == "text/xml;charset=utf-8" && r.Header.Get("x-ms-agent-name") != "":
		p.reports = append(p.reports, string(body))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func serve(t *testing.T, goal string) (*platform, *Client) {
	t.Helper()
	p := &platform{goal: goal}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p, newClient(p.URL, &net.Dialer{})
}

func TestReady(t *testing.T) {
	p, c := serve(t, goal)
	if err := c.Report(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<Health><GoalStateIncarnation>3</GoalStateIncarnation><Container><ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId><RoleInstanceList><Role><InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448._ce-ams-1</InstanceId><Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>`
	if len(p.reports) != 1 || p.reports[0] != want {
		t.Errorf("%q", p.reports)
	}
}

func TestFailed(t *testing.T) {
	p, c := serve(t, goal)
	if err := c.Report(t.Context(), "linkseal.yaml:1:1: <wrong> "+strings.Repeat("x", 1000)); err != nil {
		t.Fatal(err)
	}
	var h health
	if len(p.reports) != 1 || xml.Unmarshal([]byte(p.reports[0]), &h) != nil || h.State != "NotReady" || h.Details.SubStatus != "ProvisioningFailed" ||
		!strings.HasPrefix(h.Details.Description, "linkseal.yaml:1:1: <wrong>") || len(h.Details.Description) != 512 {
		t.Errorf("%q", p.reports)
	}
}

// What is no goal state is not answered.
func TestGoalRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "other": "<html/>", "no instance": "<GoalState><Incarnation>1</Incarnation></GoalState>",
		"markup": strings.Replace(goal, ">3<", ">&lt;x&gt;<", 1), "long": goal + strings.Repeat(" ", most),
	} {
		p, c := serve(t, text)
		if err := c.Report(t.Context(), ""); err == nil || len(p.reports) != 0 {
			t.Errorf("%s: %v, %q", name, err, p.reports)
		}
	}
}

func TestUntil(t *testing.T) {
	p, c := serve(t, goal)
	p.refuse = 3
	var told []string
	log := func(err error) { told = append(told, err.Error()) }
	if err := Until(t.Context(), time.Millisecond, func(ctx context.Context) error { return c.Report(ctx, "") }, log); err != nil || len(p.reports) != 1 {
		t.Errorf("%v, %d reports", err, len(p.reports))
	}
	if len(told) != 1 || !strings.Contains(told[0], "503") {
		t.Errorf("%q", told)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	away := errors.New("away")
	if err := Until(ctx, time.Millisecond, func(context.Context) error { return away }, log); !errors.Is(err, away) || !strings.Contains(err.Error(), "given up: away") {
		t.Errorf("%v", err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"2": "ADDRESS=10.0.0.4\nSERVER_ADDRESS=10.0.0.1\nROUTES=0.0.0.0/0,10.0.0.1\n", "x": "SERVER_ADDRESS=168.63.129.16\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if w, err := Find(dir); !errors.Is(err, ErrNoLease) {
		t.Errorf("%+v, %v", w, err)
	}
	for text, want := range map[string]string{
		"SERVER_ADDRESS=168.63.129.16\n": "168.63.129.16",
		"ROUTES=0.0.0.0/0,10.0.0.1 168.63.129.16/32,10.0.0.1 169.254.169.254/32,10.0.0.1": "168.63.129.16",
		"SERVER_ADDRESS=10.0.0.1\nOPTION_245=0a000001\n":                                  "10.0.0.1",
	} {
		if err := os.WriteFile(filepath.Join(dir, "7"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if w, err := Find(dir); err != nil || w != (Way{7, netip.MustParseAddr(want)}) {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	}
	if _, err := Find(filepath.Join(dir, "none")); !errors.Is(err, ErrNoLease) {
		t.Errorf("%v", err)
	}
}

func FuzzGoal(f *testing.F) {
	f.Add([]byte(goal))
	f.Fuzz(func(t *testing.T, text []byte) {
		if g, err := parseGoal(text); err == nil && (g.Container == "" || len(g.Instances) == 0 || strings.ContainsAny(g.Instances[0], "<>&")) {
			t.Errorf("%+v", g)
		}
	})
}

func FuzzLease(f *testing.F) {
	f.Add("SERVER_ADDRESS=168.63.129.16\nOPTION_245=a83f8110\n")
	f.Fuzz(func(t *testing.T, text string) {
		if at, ok := parseLease(text); ok && !at.Is4() {
			t.Errorf("%v", at)
		}
	})
}

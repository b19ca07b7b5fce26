package sessions

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestABodyDoesNotGrowByWhatItsSessionIsFor(t *testing.T) {
	g := &Grant{}
	for i := range maxScope {
		g.Scope = append(g.Scope, fmt.Sprintf("eth_%0*d", maxMethod-len("eth_"), i))
	}
	if err := g.Scope.check(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"empty calls":             "[{}" + strings.Repeat(",{}", 1<<16) + "]",
		"what is no call":         "[7" + strings.Repeat(",7", 1<<16) + "]",
		"what browsers may parse": `{"method":"` + g.Scope[0] + `","params":["` + strings.Repeat("<", 1<<16) + `"]}`,
	} {
		if got := g.Filter([]byte(body), 100); len(got) > len(body)+100<<8 {
			t.Errorf("%s: %d bytes become %d", name, len(body), len(got))
		}
	}
}

func TestABatchThatIsTooLongStaysTooLong(t *testing.T) {
	g := &Grant{Scope: Scope{ScopeRead}}
	for calls, want := range map[int]int{1: 1, 3: 3, 4: 4, 5: 4, 1000: 4} {
		body := "[{}" + strings.Repeat(",{}", calls-1) + "]"
		if got := bytes.Count(g.Filter([]byte(body), 3), []byte("{")); got != want {
			t.Errorf("a batch of %d calls where 3 are allowed becomes one of %d, expected %d", calls, got, want)
		}
	}
}

package fleet

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/cocoframework/coco/wire"
)

// maxResidents bounds for how many audiences a node is remembered.
const maxResidents = 256

// resident returns the audience whose nodes alone have the row that a request is about; empty if it is about no such row, or can be sent but once.
func (a *attempt) resident() string {
	audience := a.req.Header.Get(wire.HeaderAudience)
	if !a.whole || a.alone || !strings.Contains(audience, ";") {
		return ""
	}
	return audience
}

// next returns the node that a request goes to in the place of home, because it is about a row that not all nodes have; nil if there is none.
func (f *Fleet) next(a *attempt) *node {
	if len(a.elsewhere) > 0 {
		n := a.elsewhere[0]
		a.elsewhere = a.elsewhere[1:]
		return n
	}
	if a.directed {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.residents[a.resident()]
	if !slices.Contains(f.nodes, n) {
		return nil
	}
	return n
}

// misdirected reports whether an answer says that its node must not have the row, and another one says more: a node to try that it names, or one that has refused. Only nodes of the network's list count, and each proves
// its code before it is sent anything. Nothing has happened at the node that answers.
func (f *Fleet) misdirected(a *attempt, resp *http.Response) bool {
	if resp.StatusCode != http.StatusMisdirectedRequest || a.resident() == "" {
		return false
	}
	named := strings.Split(resp.Header.Get(wire.HeaderNodes), ",")
	for i := range named {
		named[i] = strings.TrimSpace(named[i])
	}
	if !a.directed {
		a.directed = true
		for _, n := range f.known() {
			if slices.Contains(named, n.address) {
				a.elsewhere = append(a.elsewhere, n)
			}
		}
	}
	if len(a.elsewhere) == 0 && a.last == nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxRefusal))
	return true
}

// resides notes which node has the rows of an audience.
func (f *Fleet) resides(n *node, a *attempt, resp *http.Response) {
	audience := a.resident()
	if audience == "" || !a.directed || resp.StatusCode == http.StatusMisdirectedRequest {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.residents == nil || len(f.residents) >= maxResidents {
		f.residents = map[string]*node{}
	}
	f.residents[audience] = n
}

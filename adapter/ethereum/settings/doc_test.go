package settings

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestTheDocumentListsTheSettings(t *testing.T) {
	page, err := os.ReadFile("../../../docs/json-rpc.md")
	must(t, err)
	for _, section := range []any{settingsJSON{}, RPC{}} {
		for f := range reflect.TypeOf(section).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/json-rpc.md does not name the setting %s", name)
			}
		}
	}
}

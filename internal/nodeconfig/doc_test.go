package nodeconfig

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestTheDocumentListsTheSettings(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("docs/operations.md does not name `%s` of node.toml", name)
		}
	}
}

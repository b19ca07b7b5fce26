package nodeconfig

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/identity"
)

func TestNodeSettingsAreReadStrictly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.toml")
	want := Config{
		Name: "alpha", Dir: `C:\net "x"`, Peer: "127.0.0.1:1", Client: "127.0.0.1:2", OwnerCertificate: "a", OwnerKey: "b",
		Start: StartRecover, Approve: coco.Digest{1, 2}, RecoverKeys: []identity.MemberKey{{Certificate: "c", Key: "d"}},
	}
	if err := want.SaveSupervised(file); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("read %+v, %v; wrote %+v", got, err, want)
	}
	for _, page := range []string{"start = \"join\"\nsurprise = 1\n", "start = \"somehow\"\n", "start", "approve = \"00\"\nstart = \"join\"\n", ""} {
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: %v", page, err)
		}
	}
}

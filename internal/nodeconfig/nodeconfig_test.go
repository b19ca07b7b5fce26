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

func TestAPortThatCannotBeIsRefusedWhenTheFileIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.toml")
	for line, ok := range map[string]bool{
		`peer = "10.0.0.4:7000"`: true, `client = "[::1]:65535"`: true, `peer = "127.0.0.1:0"`: true, `join = ["a.example:1", "b.example:2"]`: true,
		`peer = "10.0.0.4:70000"`: false, `client = "10.0.0.4:-1"`: false, `admin = "10.0.0.4"`: false, `peer_address = "10.0.0.4:"`: false,
		`client_address = "10.0.0.4:80a"`: false, `join = ["a.example:1", "b.example:99999"]`: false, `ask = ["::1:7000"]`: false,
	} {
		if err := os.WriteFile(file, []byte("start = \"join\"\napprove = \""+coco.Digest{}.String()+"\"\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if ok != (err == nil) || err != nil && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSettingsOfTheLogAreReadStrictly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.toml")
	for line, ok := range map[string]bool{
		`log_level = "debug"`: true, `log_level = "loud"`: false, `log_bytes = 65536`: true, `log_bytes = -1`: true, `log_bytes = -2`: false, `log_bytes = 1000`: false,
		`log_files = -1`: true, `log_files = -2`: false, `log_files = 1001`: false,
	} {
		if err := os.WriteFile(file, []byte("start = \"join\"\napprove = \""+coco.Digest{}.String()+"\"\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if ok != (err == nil) || err != nil && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

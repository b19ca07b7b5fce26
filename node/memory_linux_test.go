package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/wire"
)

// A test that looks for secrets in its own memory must not hold them itself. So another process finds them out, from a copy of the ledger and the members' keys, and tells them
// XORed with a mask; they are unmasked in memory of the operating system's that is not looked at.

const (
	mask      = 0xa5
	maskedFor = "COCO_TEST_MASKED_KEYS_OF" // the folder that the other process reads
)

// needle is something to be looked for.
type needle struct {
	Epoch  uint64
	What   string
	Masked string // hex
}

// TestMain runs the tests, or what maskedFor says.
func TestMain(m *testing.M) {
	if dir := os.Getenv(maskedFor); dir != "" {
		if err := tellMasked(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func tellMasked(dir string) error {
	var members []*keys.MemberKey
	files, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil {
		return err
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		k, err := keys.ParseMemberKey(b)
		if err != nil {
			return err
		}
		members = append(members, k)
	}
	s := rehearsal.Source{Verifiers: attest.Verifiers{virtual.Verifier{}}}
	c, err := s.Verify(context.Background(), filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	secrets, _, err := c.Secrets(members)
	if err != nil {
		return err
	}
	var out []needle
	for _, epoch := range slices.Sorted(maps.Keys(secrets)) {
		secret := secrets[epoch]
		reading := batch.ReadingOf(epoch, secret)
		for what, b := range map[string][]byte{"secret": secret[:], "seal key": reading[:32], "salt key": reading[32:]} {
			for i := range b {
				b[i] ^= mask
			}
			out = append(out, needle{epoch, what, hex.EncodeToString(b)})
		}
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// needles are the secrets of a network's epochs, and the keys that its nodes derive from them.
func (n *network) needles(at int) (out []needle) {
	n.t.Helper()
	dir := n.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ledger"), 0o700); err != nil {
		n.t.Fatal(err)
	}
	for name, b := range n.World.Files(hostName(at), "ledger") {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	for i, m := range n.Members {
		pem, err := m.Share.PEM()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".key")), pem, 0o600)
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), maskedFor+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(b, &out); err != nil {
		n.t.Fatal(err)
	}
	return out
}

// region is a part of this process's memory.
type region struct{ from, to uint64 }

// memory returns what this process can write to, but for a part.
func memory(t *testing.T, but region) (all []region) {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r region
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &r.from, &r.to, &rights); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(rights, "rw") && !strings.Contains(lines.Text(), "[v") && (r.to <= but.from || r.from >= but.to) {
			all = append(all, r)
		}
	}
	return all
}

const window = 1 << 20

// found counts the places of this process's memory at which each of the needles stands.
func found(t *testing.T, needles []needle) map[string]int {
	t.Helper()
	room, err := syscall.Mmap(-1, 0, 2*window, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(room) }()
	from := uint64(uintptr(unsafe.Pointer(&room[0])))
	own := region{from, from + uint64(len(room))}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	plain := room[window+4096:]
	for i, n := range needles {
		if k, err := hex.Decode(plain[i*64:], []byte(n.Masked)); err != nil || k != 32 {
			t.Fatalf("needle %d: %d bytes, %v", i, k, err)
		}
		for j := range 32 {
			plain[i*64+j] ^= mask
		}
	}
	counts := map[string]int{}
	for _, r := range memory(t, own) {
		for at := r.from; at < r.to; at += window - 64 {
			b := room[:min(window, r.to-at)]
			if k, err := mem.ReadAt(b, int64(at)); err != nil && k == 0 {
				continue // a guard page
			}
			for i, n := range needles {
				secret := plain[i*64:][:32]
				for rest := b; ; {
					k := bytes.Index(rest, secret)
					if k < 0 {
						break
					}
					if os.Getenv("COCO_TEST_WHERE") != "" {
						off := len(b) - len(rest) + k
						t.Logf("%s of epoch %d at %x: %q before, %q after", n.What, n.Epoch, at+uint64(off), b[max(0, off-48):off], b[min(len(b), off+32):min(len(b), off+64)])
					}
					counts[fmt.Sprintf("%d %s", n.Epoch, n.What)]++
					rest = rest[k+32:]
				}
			}
		}
	}
	return counts
}

// An epoch's secret, and what is derived from it, is nowhere in the memory of the nodes of a network once it has expired: neither in use nor left behind.
func TestNothingOfAnExpiredEpochIsInMemory(t *testing.T) {
	long(t)
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		n.committee(0, wire.Keys{}, 20*time.Second)
		for e := range 3 {
			if _, err := put(n.client(0, n.leader()), "key", fmt.Sprint("value", e)); err != nil {
				t.Fatal(err)
			}
			n.decideAll(action.Action{Kind: action.Rotate})
			time.Sleep(2 * time.Second)
		}
		needles := n.needles(0)
		before := found(t, needles)
		for _, x := range needles {
			if x.What != "salt key" && x.Epoch >= 3 && x.Epoch < 6 && before[fmt.Sprintf("%d %s", x.Epoch, x.What)] < 3 {
				t.Errorf("before it expires, the %s of epoch %d is found %d times among three nodes: the test does not see it", x.What, x.Epoch, before[fmt.Sprintf("%d %s", x.Epoch, x.What)])
			}
		}
		n.decideAll(action.Action{Kind: action.Rotate})
		var after map[string]int
		for range 5 { // what is dead and the standard library's is overwritten as the nodes go on; what lives would stay
			n.aged(0)
			runtime.GC()
			if after = found(t, needles); len(after) == 0 {
				break
			}
			t.Logf("not overwritten yet: %v", after)
		}
		for _, key := range slices.Sorted(maps.Keys(after)) {
			t.Errorf("after it has expired, the memory has the %s at %d places; before %d", key, after[key], before[key])
		}
		t.Logf("before %v, after %v", before, after)
	})
}

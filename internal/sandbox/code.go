package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
)

// A sandbox's nodes run one program, except while another one replaces it: then each node that was replaced has
// its own in [Node.Code]. When all are, that program becomes the sandbox's. A crash in between
// leaves a network of two programs, which goes on, and the replacement too.

// programName is the name, in the folder of programs, of one with a measurement.
func programName(m coco.Measurement) string {
	_, digest, _ := strings.Cut(string(m), ":")
	name := "coco-" + digest[:min(len(digest), 16)]
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

// exeOf is the program that a node runs.
func (s *Sandbox) exeOf(i int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.info.Nodes[i].Code; code != "" {
		if file := filepath.Join(s.lay.Code(), code); isFile(file) {
			return file
		}
	}
	return s.exe
}

// hasOwnProgram reports whether a node runs another program than the sandbox's.
func (s *Sandbox) hasOwnProgram(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info.Nodes[i].Code != ""
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// install copies a program into the folder. The constitution in force must list it.
func (s *Sandbox) install(ctx context.Context, file string) (coco.Measurement, error) {
	m, err := localnet.Measure(file)
	if err != nil {
		return "", fmt.Errorf("%w: the new program: %w", coco.ErrInvalid, err)
	}
	if err := s.awaitListed(ctx, m); err != nil {
		return "", err
	}
	if !s.lists(m) {
		return "", fmt.Errorf("%w: %s measures %s, which the constitution in force does not list: have members add it by vote", coco.ErrDenied, file, m)
	}
	to := filepath.Join(s.lay.Code(), programName(m))
	if got, err := localnet.Measure(to); err == nil && got == m {
		return m, nil
	}
	return m, copyProgram(file, to, m)
}

// listPatience is for a vote that was counted on another node to be known on the one that is asked.
const listPatience = 5 * time.Second

func (s *Sandbox) awaitListed(ctx context.Context, m coco.Measurement) error {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	for {
		if err := s.follow(ctx); err != nil {
			return err
		}
		if s.lists(m) || !ctxtime.Sleep(ctx, 200*time.Millisecond) {
			return nil
		}
	}
}

func (s *Sandbox) lists(m coco.Measurement) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.known.con.Measurements(), m)
}

// copyProgram copies a program, which must still be what was measured, atomically.
func copyProgram(file, to string, m coco.Measurement) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	src, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	defer src.Close()
	part, err := os.CreateTemp(filepath.Dir(to), ".part-*")
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	defer os.Remove(part.Name()) // fails once renamed
	_, err = io.Copy(part, src)
	err = errors.Join(err, part.Chmod(0o700), part.Sync(), part.Close())
	if err != nil {
		return fmt.Errorf("keeping the program: %w", err)
	}
	if got, err := localnet.Measure(part.Name()); err != nil || got != m {
		return fmt.Errorf("%w: %s has changed while it was copied: it measures %s, before %s", coco.ErrVerify, file, got, m)
	}
	return os.Rename(part.Name(), to)
}

// adopt makes the program that every node runs by now the sandbox's.
func (s *Sandbox) adopt(m coco.Measurement) error {
	code := programName(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.info.Nodes {
		if !n.Retired && n.Code != code {
			return fmt.Errorf("%w: node %s does not run %s yet", coco.ErrBusy, n.Name, m.Short())
		}
	}
	file := s.lay.ProgramFile()
	if err := copyProgram(filepath.Join(s.lay.Code(), code), file, m); err != nil {
		return err
	}
	// A crash here leaves the new program under both names.
	s.exe, s.info.Measurement = file, string(m)
	for i := range s.info.Nodes {
		s.info.Nodes[i].Code = ""
	}
	if err := s.info.Save(); err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.lay.Code(), code))
}

// code serves Upgrade: it installs a new program (POST /code?file=), or makes it that of all nodes
// (POST /code?adopt=MEASUREMENT).
func (c *control) code(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m, err := coco.Measurement(q.Get("adopt")), error(nil)
	if m != "" {
		err = c.s.adopt(m)
	} else {
		m, err = c.s.install(r.Context(), q.Get("file"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]coco.Measurement{"measurement": m})
}

// assign notes which program a node runs when it starts the next time.
func (s *Sandbox) assign(i int, m coco.Measurement) error {
	code := programName(m)
	if got, err := localnet.Measure(filepath.Join(s.lay.Code(), code)); err != nil || got != m {
		return fmt.Errorf("%w: the program %s is not in %s", coco.ErrNotFound, m, s.lay.Code())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info.Nodes[i].Code = code
	return s.info.Save()
}

// chooseCode decides which program the nodes run: the kept one, if there is one that the
// constitution lists, because it stays what it is for as long as the network runs; otherwise this one.
func (s *Sandbox) chooseCode(c *constitution.Constitution) error {
	listed := c.Measurements()
	own := slices.Contains(listed, s.opts.Code)
	kept, err := localnet.Measure(s.lay.ProgramFile())
	switch {
	case err == nil && slices.Contains(listed, kept):
		s.exe, s.info.Measurement = s.lay.ProgramFile(), string(kept)
		if !own {
			s.report(localnet.Step{
				Step: "code", Measurement: string(kept),
				Text: fmt.Sprintf("this program measures %s, which the constitution does not list: the nodes run the one that made the network (--fresh makes a new network with this one)",
					s.opts.Code.Short()),
			})
		}
	case own:
		s.exe, s.info.Measurement = s.opts.Exe, string(s.opts.Code)
	default:
		return fmt.Errorf("%w: this program measures %s, but the network's constitution lists %v: run the program that made the network, or start a new one with --fresh",
			coco.ErrDenied, s.opts.Code, listed)
	}
	return nil
}

package virtual

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/cocoframework/coco"
)

// Self returns the measurement of the running program: the SHA-256 of its file, read once a
// process. It belongs to the device, not to the code measured, and is therefore the one place
// here that looks at the operating system.
func Self() (coco.Measurement, error) { return self() }

var self = sync.OnceValues(func() (coco.Measurement, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("measure the running program: %w", err)
	}
	if runtime.GOOS == "linux" {
		path = "/proc/self/exe" // the file that runs, even where its name means a newer one by now
	}
	return measureFile(path)
})

func measureFile(path string) (coco.Measurement, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("measure the running program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("measure the running program: %w", err)
	}
	return measurement([sha256.Size]byte(h.Sum(nil))), nil
}

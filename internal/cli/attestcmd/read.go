package attestcmd

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/cli"
)

// maxFile bounds a file of evidence in JSON, whose quote is in base64.
const maxFile = 4 * attest.MaxQuote

// readEvidence reads a file: a bare quote if a platform is named, else evidence in CBOR or JSON. The error wraps coco.ErrInvalid or coco.ErrCorrupt.
func readEvidence(file, platform string) (attest.Evidence, error) {
	b, err := cli.ReadFile(nil, "evidence", file, maxFile)
	switch {
	case err != nil:
		return attest.Evidence{}, err
	case len(b) == 0:
		return attest.Evidence{}, fmt.Errorf("%w: evidence: %s is empty", coco.ErrInvalid, file)
	case platform != "":
		if ev, err := attest.DecodeEvidence(b); err == nil {
			return ev, fmt.Errorf("%w: %s is no bare quote, but evidence that names its platform, %s: leave --platform out", coco.ErrInvalid, file, ev.Platform)
		}
		return attest.Evidence{Platform: platform, Quote: b}, nil
	}
	if text := bytes.TrimSpace(b); text[0] == '{' {
		var ev attest.Evidence
		if err := json.Unmarshal(text, &ev); err != nil {
			return ev, fmt.Errorf("%w: evidence: %s: %w", coco.ErrCorrupt, file, err)
		}
		if ev.Platform == "" || len(ev.Quote) == 0 {
			return ev, fmt.Errorf("%w: evidence: %s: expected the fields platform and quote", coco.ErrInvalid, file)
		}
		return ev, nil
	}
	ev, err := attest.DecodeEvidence(b)
	if err != nil {
		return ev, fmt.Errorf("%s: %w: name the kind of TEE by --platform if it is a bare quote", file, err)
	}
	return ev, nil
}

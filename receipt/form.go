package receipt

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/wire"
)

// A form is one way to write receipts down. Another one is another row of the table below.
type form struct {
	mediaType string
	encode    func(*Receipt) ([]byte, error)
	parse     func([]byte) (*Receipt, error)
}

var forms = []form{
	{wire.MediaJSON, encodeJSON, parseJSON},
}

func formOf(mediaType string) (form, error) {
	var known []string
	for _, f := range forms {
		if f.mediaType == mediaType {
			return f, nil
		}
		known = append(known, f.mediaType)
	}
	return form{}, fmt.Errorf("%w: receipt: media type %q, expected one of %q", coco.ErrInvalid, mediaType, known)
}

// Encode writes the receipt down in the form of a media type. The error is coco.ErrInvalid if there is
// no such form.
func (r *Receipt) Encode(mediaType string) ([]byte, error) {
	f, err := formOf(mediaType)
	if err != nil {
		return nil, err
	}
	return f.encode(r)
}

// Parse reads a receipt in the form of a media type. It verifies nothing. Errors are of kind
// coco.ErrCorrupt, or coco.ErrInvalid if there is no such form.
func Parse(mediaType string, data []byte) (*Receipt, error) {
	f, err := formOf(mediaType)
	if err != nil {
		return nil, err
	}
	corrupt := func(err error) (*Receipt, error) {
		return nil, fmt.Errorf("%w: receipt: %w", coco.ErrCorrupt, err)
	}
	if len(data) > MaxSize {
		return corrupt(fmt.Errorf("%d bytes, at most %d are possible", len(data), MaxSize))
	}
	r, err := f.parse(data)
	if err != nil {
		return corrupt(err)
	}
	if len(r.Path) > merkle.MaxPath {
		return corrupt(fmt.Errorf("a path of %d digests, at most %d are possible", len(r.Path), merkle.MaxPath))
	}
	return r, nil
}

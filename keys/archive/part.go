package archive

import "github.com/cocoframework/coco/keys/committee"

// CheckPart says whether a seat's part in opening the archive is right; see committee.Committee.CheckPart.
func (a *Archive) CheckPart(c *committee.Committee, of Of, p committee.Part) error {
	return c.CheckPart(&a.Sealed, of.label(), p)
}

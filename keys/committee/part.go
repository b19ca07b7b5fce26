package committee

// CheckPart says whether a seat's part is right, without knowing any other. The error is coco.ErrVerify: if what is sealed is of this committee and label, a *PartError that
// names the seat's actor.
func (c *Committee) CheckPart(s *Sealed, label []byte, p Part) error {
	opening, err := c.opening(s, label)
	if err != nil {
		return err
	}
	_, err = c.check(s, opening, c.bound(&s.Ciphertext, label), p)
	return err
}

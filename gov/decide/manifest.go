package decide

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/reason"
)

// manifest is the code and the platforms of a constitution under change.
type manifest struct {
	code *[]constitution.Code
	tee  *[]constitution.TEE
}

func (m manifest) addCode(a *action.Action) (Effect, error) {
	x := &a.Args
	code := coco.Measurement(x.Measurement)
	if slices.ContainsFunc(*m.code, func(c constitution.Code) bool { return c.Measurement == code }) {
		return Effect{}, impossible(reason.CodeExists, string(code), "")
	}
	if x.Replaces != "" && !slices.ContainsFunc(*m.code, func(c constitution.Code) bool { return string(c.Measurement) == x.Replaces }) {
		return Effect{}, impossible(reason.UnlistedCode, x.Replaces, "")
	}
	*m.code = append(*m.code, constitution.Code{Measurement: code, Note: x.Note})
	return Effect{Kind: CodeAdded, Subject: string(code), Value: x.Replaces}, nil
}

func (m manifest) removeCode(a *action.Action) (Effect, error) {
	n := len(*m.code)
	*m.code = slices.DeleteFunc(*m.code, func(c constitution.Code) bool { return string(c.Measurement) == a.Args.Measurement })
	if len(*m.code) == n {
		return Effect{}, impossible(reason.UnlistedCode, a.Args.Measurement, "")
	}
	return Effect{Kind: CodeRemoved, Subject: a.Args.Measurement}, nil
}

func (m manifest) setTEE(a *action.Action) (Effect, error) {
	x := &a.Args
	i := slices.IndexFunc(*m.tee, func(t constitution.TEE) bool { return t.Platform == x.Platform })
	if x.Remove {
		if i < 0 {
			return Effect{}, impossible(reason.UnlistedPlatform, x.Platform, "")
		}
		*m.tee = slices.Delete(*m.tee, i, i+1)
		return Effect{Kind: TEERemoved, Subject: x.Platform}, nil
	}
	t := constitution.TEE{Platform: x.Platform, Policy: x.TEEPolicy, Debug: x.Debug}
	switch {
	case i < 0:
		*m.tee = append(*m.tee, t)
	case (*m.tee)[i] == t:
		return Effect{}, impossible(reason.Unchanged, "tee."+x.Platform, "")
	default:
		(*m.tee)[i] = t
	}
	return Effect{Kind: TEESet, Subject: x.Platform, Value: t.Policy, Debug: t.Debug}, nil
}

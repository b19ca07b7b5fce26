package linear

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

func TestJudgeKnowsWhatIsLinearizable(t *testing.T) {
	put := func(call, answered int64, value string, tag uint64) Operation {
		return Operation{Key: "k", Verb: Put, Call: call, Answered: answered, Value: value, Tag: tag, Outcome: Done}
	}
	swap := func(call, answered int64, expected uint64, value string, tag uint64, o Outcome) Operation {
		return Operation{Key: "k", Verb: Swap, Call: call, Answered: answered, Expected: expected, Value: value, Tag: tag, Outcome: o}
	}
	read := func(call, answered int64, value string, tag uint64) Operation {
		return Operation{Key: "k", Verb: Read, Call: call, Answered: answered, Found: value, Tag: tag, Outcome: Done}
	}
	lost := func(o Operation) Operation {
		o.Outcome, o.Tag = Unknown, 0
		return o
	}
	deletion := func(call, answered int64, o Outcome) Operation {
		return Operation{Key: "k", Verb: Delete, Call: call, Answered: answered, Outcome: o}
	}
	for name, c := range map[string]struct {
		want porcupine.CheckResult
		ops  []Operation
	}{
		"a read of what was put":                    {porcupine.Ok, []Operation{put(0, 1, "a", 5), read(2, 3, "a", 5)}},
		"a read of what was there before":           {porcupine.Illegal, []Operation{put(0, 1, "a", 5), put(2, 3, "b", 6), read(4, 5, "a", 5)}},
		"… at the same time":                        {porcupine.Ok, []Operation{put(0, 1, "a", 5), put(2, 9, "b", 6), read(4, 5, "a", 5)}},
		"two reads in the wrong order":              {porcupine.Illegal, []Operation{put(0, 1, "a", 5), put(2, 9, "b", 6), read(3, 4, "b", 6), read(5, 6, "a", 5)}},
		"a swap of what is not there any more":      {porcupine.Illegal, []Operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 5, "c", 7, Done)}},
		"two swaps of one version":                  {porcupine.Illegal, []Operation{put(0, 1, "a", 5), swap(2, 9, 5, "b", 6, Done), swap(2, 9, 5, "c", 7, Done)}},
		"a refusal":                                 {porcupine.Ok, []Operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 5, "c", 6, Refused)}},
		"a refusal by a state of the past":          {porcupine.Illegal, []Operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 6, "c", 5, Refused)}},
		"a put without an answer, seen":             {porcupine.Ok, []Operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(7, 8, "b", 6)}},
		"…, seen and gone":                          {porcupine.Illegal, []Operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(7, 8, "b", 6), read(9, 10, "a", 5)}},
		"…, never seen":                             {porcupine.Ok, []Operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(9, 10, "a", 5)}},
		"a swap without an answer, seen too late":   {porcupine.Illegal, []Operation{put(0, 1, "a", 5), lost(swap(2, 3, 5, "b", 6, Done)), put(4, 5, "c", 7), read(6, 7, "c", 7), read(8, 9, "b", 6)}},
		"a delete without an answer":                {porcupine.Ok, []Operation{put(0, 1, "a", 5), deletion(2, 3, Unknown), read(4, 5, "a", 5), read(6, 7, "", 0)}},
		"a delete with one":                         {porcupine.Illegal, []Operation{put(0, 1, "a", 5), deletion(2, 3, Done), read(4, 5, "a", 5)}},
		"a version whose value nobody ever learned": {porcupine.Ok, []Operation{lost(put(0, 1, "a", 5)), swap(2, 3, 0, "b", 5, Refused), swap(4, 5, 5, "c", 6, Done)}},
		"what did not happen":                       {porcupine.Ok, []Operation{put(0, 1, "a", 5), {Key: "k", Verb: Delete, Call: 2, Answered: 3, Outcome: Nothing}, read(4, 5, "a", 5)}},
	} {
		seen := map[Version]string{}
		for _, o := range c.ops {
			switch {
			case o.Outcome != Done || o.Tag == 0:
			case o.Verb == Read:
				seen[Version{"k", o.Tag}] = o.Found
			default:
				seen[Version{"k", o.Tag}] = o.Value
			}
		}
		r := newRegister(c.ops, seen)
		if got := porcupine.CheckOperationsTimeout(r.model(), r.asked, patience); got != c.want {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
		if c.want == porcupine.Illegal && r.shortest() == "" {
			t.Errorf("%s: no Operation is shown", name)
		}
	}
}

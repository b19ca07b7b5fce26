package sim

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

func TestJudgeKnowsWhatIsLinearizable(t *testing.T) {
	put := func(call, answered int64, value string, tag uint64) operation {
		return operation{key: "k", verb: verbPut, call: call, answered: answered, value: value, tag: tag, outcome: done}
	}
	swap := func(call, answered int64, expected uint64, value string, tag uint64, o outcome) operation {
		return operation{key: "k", verb: verbSwap, call: call, answered: answered, expected: expected, value: value, tag: tag, outcome: o}
	}
	read := func(call, answered int64, value string, tag uint64) operation {
		return operation{key: "k", verb: verbRead, call: call, answered: answered, found: value, tag: tag, outcome: done}
	}
	lost := func(o operation) operation {
		o.outcome, o.tag = unknown, 0
		return o
	}
	deletion := func(call, answered int64, o outcome) operation {
		return operation{key: "k", verb: verbDelete, call: call, answered: answered, outcome: o}
	}
	for name, c := range map[string]struct {
		want porcupine.CheckResult
		ops  []operation
	}{
		"a read of what was put":                    {porcupine.Ok, []operation{put(0, 1, "a", 5), read(2, 3, "a", 5)}},
		"a read of what was there before":           {porcupine.Illegal, []operation{put(0, 1, "a", 5), put(2, 3, "b", 6), read(4, 5, "a", 5)}},
		"… at the same time":                        {porcupine.Ok, []operation{put(0, 1, "a", 5), put(2, 9, "b", 6), read(4, 5, "a", 5)}},
		"two reads in the wrong order":              {porcupine.Illegal, []operation{put(0, 1, "a", 5), put(2, 9, "b", 6), read(3, 4, "b", 6), read(5, 6, "a", 5)}},
		"a swap of what is not there any more":      {porcupine.Illegal, []operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 5, "c", 7, done)}},
		"two swaps of one version":                  {porcupine.Illegal, []operation{put(0, 1, "a", 5), swap(2, 9, 5, "b", 6, done), swap(2, 9, 5, "c", 7, done)}},
		"a refusal":                                 {porcupine.Ok, []operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 5, "c", 6, refused)}},
		"a refusal by a state of the past":          {porcupine.Illegal, []operation{put(0, 1, "a", 5), put(2, 3, "b", 6), swap(4, 5, 6, "c", 5, refused)}},
		"a put without an answer, seen":             {porcupine.Ok, []operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(7, 8, "b", 6)}},
		"…, seen and gone":                          {porcupine.Illegal, []operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(7, 8, "b", 6), read(9, 10, "a", 5)}},
		"…, never seen":                             {porcupine.Ok, []operation{put(0, 1, "a", 5), lost(put(2, 3, "b", 6)), read(9, 10, "a", 5)}},
		"a swap without an answer, seen too late":   {porcupine.Illegal, []operation{put(0, 1, "a", 5), lost(swap(2, 3, 5, "b", 6, done)), put(4, 5, "c", 7), read(6, 7, "c", 7), read(8, 9, "b", 6)}},
		"a delete without an answer":                {porcupine.Ok, []operation{put(0, 1, "a", 5), deletion(2, 3, unknown), read(4, 5, "a", 5), read(6, 7, "", 0)}},
		"a delete with one":                         {porcupine.Illegal, []operation{put(0, 1, "a", 5), deletion(2, 3, done), read(4, 5, "a", 5)}},
		"a version whose value nobody ever learned": {porcupine.Ok, []operation{lost(put(0, 1, "a", 5)), swap(2, 3, 0, "b", 5, refused), swap(4, 5, 5, "c", 6, done)}},
		"what did not happen":                       {porcupine.Ok, []operation{put(0, 1, "a", 5), {key: "k", verb: verbDelete, call: 2, answered: 3, outcome: nothing}, read(4, 5, "a", 5)}},
	} {
		seen := map[version]string{}
		for _, o := range c.ops {
			switch {
			case o.outcome != done || o.tag == 0:
			case o.verb == verbRead:
				seen[version{"k", o.tag}] = o.found
			default:
				seen[version{"k", o.tag}] = o.value
			}
		}
		r := newRegister(c.ops, seen)
		if got := porcupine.CheckOperationsTimeout(r.model(), r.asked, judgePatience); got != c.want {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
		if c.want == porcupine.Illegal && r.shortest() == "" {
			t.Errorf("%s: no operation is shown", name)
		}
	}
}

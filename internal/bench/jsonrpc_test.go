package bench

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
)

func TestAnswersAreMatchedByID(t *testing.T) {
	answers, err := parseAnswers([]byte(` [{"id":2,"result":"b"},{"id":1,"error":{"code":-32000,"message":"no"}}]`), 2)
	if err != nil || answers[0].Error == nil || string(answers[1].Result) != `"b"` {
		t.Errorf("%+v, %v", answers, err)
	}
	answers, err = parseAnswers([]byte(`{"id":null,"error":{"code":-32600,"message":"batch too large"}}`), 3)
	if err != nil || answers[2].Error == nil {
		t.Errorf("%+v, %v", answers, err)
	}
	for _, bad := range []string{
		``, `[]`, `{"id":1,"result":"0x"}`, `[{"id":1},{"id":1}]`, `[{"id":1},{"id":3}]`, `[{"id":0},{"id":1}]`, `[{"id":1}]`, `[1,2]`, `"x"`, `[{"id":1},{"id":2}`,
	} {
		if _, err := parseAnswers([]byte(bad), 2); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"id":2,"result":"0x1"},{"id":1,"error":{"code":-32000,"message":"no"}}]`), 2)
	f.Add([]byte(`{"id":1,"result":null}`), 1)
	f.Fuzz(func(t *testing.T, reply []byte, n int) {
		n = max(1, min(n, 100))
		if answers, err := parseAnswers(reply, n); err == nil && len(answers) != n {
			t.Errorf("%d answers, expected %d", len(answers), n)
		}
	})
}

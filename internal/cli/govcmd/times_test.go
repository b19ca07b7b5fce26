package govcmd

import (
	"regexp"
	"testing"
	"time"
)

func TestAPeriodIsWrittenInDaysAndWeeks(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * day, "2w": 14 * day, "36h": 36 * time.Hour, "90m": 90 * time.Minute} {
		var p period
		if err := p.Set(text); err != nil || time.Duration(p) != want {
			t.Errorf("%s: %s, %v", text, time.Duration(p), err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "99999999999d", "7 d", "week"} {
		var p period
		if err := p.Set(text); err == nil {
			t.Errorf("%q is %s", text, time.Duration(p))
		}
	}
	week := period(7 * day)
	if got := week.String(); got != "7d" {
		t.Errorf("seven days are %q", got)
	}
}

func TestATimeHasItsZoneAndItsDistance(t *testing.T) {
	now := time.Now()
	for want, d := range map[string]time.Duration{
		"in 7 days": 7*day - time.Minute, "in 47 hours": 47 * time.Hour, "3 hours ago": -3 * time.Hour, "in 119 minutes": 119 * time.Minute, "1 minute ago": -time.Minute, "now": time.Second,
	} {
		if got := relative(d); got != want {
			t.Errorf("%s is %q, expected %q", d, got, want)
		}
	}
	if got := moment(now.Add(7*day), now); !regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d \S+ \(in 7 days\)$`).MatchString(got) {
		t.Errorf("a moment is %q", got)
	}
}

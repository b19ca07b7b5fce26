package govcmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
)

const day = 24 * time.Hour

// moment writes a time with its zone, and how far it is from now.
func moment(t, now time.Time) string {
	return t.Local().Format("2006-01-02 15:04 MST") + " (" + relative(t.Sub(now)) + ")"
}

// relative says how far a time is ahead, or how long ago, rounded to the largest unit of which there are at least two.
func relative(d time.Duration) string {
	away := d.Abs()
	unit, name := time.Minute, "minute"
	switch {
	case away < time.Minute:
		return "now"
	case away >= 2*day:
		unit, name = day, "day"
	case away >= 2*time.Hour:
		unit, name = time.Hour, "hour"
	}
	text := cli.Plural(uint64((away+unit/2)/unit), name)
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

// period is a flag: a duration as Go writes it, or whole days or weeks, as 7d and 2w.
type period time.Duration

// Set implements pflag.Value.
func (p *period) Set(text string) error {
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				return fmt.Errorf("%w: %q: expected a whole number of days or weeks, as 7d or 2w", coco.ErrInvalid, text)
			}
			*p = period(time.Duration(n) * unit)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%w: %q: expected a time such as 7d, 2w, 36h or 90m", coco.ErrInvalid, text)
	}
	*p = period(d)
	return nil
}

// String implements pflag.Value.
func (p *period) String() string {
	d := time.Duration(*p)
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// Type implements pflag.Value.
func (p *period) Type() string { return "time" }

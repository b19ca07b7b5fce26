package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cocoframework/coco"
)

// explainUsage has a tree of commands say what they expected, where the parser says only what is wrong.
func explainUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	if check := cmd.Args; check != nil && !cmd.HasSubCommands() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			want := strings.Fields(cmd.Use)[1:]
			expected := "no arguments"
			if len(want) > 0 {
				expected = Plural(len(want), "argument") + ", " + strings.Join(want, " ")
			}
			return fmt.Errorf("%w: %s: expected %s, found %s%s", coco.ErrInvalid, cmd.CommandPath(), expected, foundArguments(args), example(cmd))
		}
	}
	if cmd.HasSubCommands() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%w: unknown command %q for %q%s", coco.ErrInvalid, args[0], cmd.CommandPath(), didYouMean(args[0], commandNames(cmd)))
		}
	}
	for _, sub := range cmd.Commands() {
		explainUsage(sub)
	}
}

// flagError explains a flag that cannot be understood.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		return fmt.Errorf("%w: --%s: expected %s, found %q%s", coco.ErrInvalid, value.GetFlag().Name, kindOf(value.GetFlag()), value.GetValue(), example(cmd))
	case errors.As(err, &missing):
		return fmt.Errorf("%w: --%s: expected %s, found nothing%s", coco.ErrInvalid, missing.GetFlag().Name, kindOf(missing.GetFlag()), example(cmd))
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			name = "--" + short // -dir for --dir
		}
		if hint := didYouMean(name, flagNames(cmd)); hint != "" {
			return fmt.Errorf("%w%s", err, hint)
		}
	}
	return fmt.Errorf("%w%s", err, example(cmd))
}

// foundArguments says how many arguments there are, and which: the one too many may be a value whose flag is missing.
func foundArguments(args []string) string {
	if len(args) == 0 {
		return "0"
	}
	var quoted []string
	for _, a := range args[:min(len(args), 5)] {
		quoted = append(quoted, strconv.Quote(a))
	}
	if len(args) > 5 {
		quoted = append(quoted, "…")
	}
	return fmt.Sprintf("%d, %s", len(args), strings.Join(quoted, " "))
}

// kindOf says what a flag's value is.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a number"
	case "uint64":
		return "a number that is not negative"
	case "duration":
		return "a time such as 10s or 1m30s"
	case "bool":
		return "true or false"
	}
	name, _ := pflag.UnquoteUsage(f)
	return "a " + name
}

// example is the first example of a command.
func example(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(cmd.Example, "\n")
	line, _, _ = strings.Cut(line, "#")
	if line = strings.TrimSpace(line); line == "" {
		return ""
	}
	return "; for example: " + line
}

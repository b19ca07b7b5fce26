package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/attest/virtual"
)

// version is the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			v += "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			v += "+changes"
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version and this program's measurement",
		Example: "  coco version\n  coco version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			code, err := virtual.Self()
			if err != nil {
				return err
			}
			if a.wantsJSON() {
				return a.out.json(map[string]any{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "measurement": code})
			}
			a.out.printf("coco %s (%s, %s/%s)\n%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, code)
			return nil
		},
	}
	a.outputFlag(cmd)
	return cmd
}

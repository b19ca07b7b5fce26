package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/internal/cli"
)

// release is set by the linker where a release is built; see .ci/repro.
var release string

// version is the release's, the module's version, or the commit that was built.
func version() string {
	if release != "" {
		return release
	}
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

func versionCommand(a *cli.App) *cobra.Command {
	var only bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version and this program's measurement",
		Long: `Shows the version, and the measurement by which a constitution lists this program: of a simulated
TEE, the SHA-256 of its file. Every build of the same source by ` + "`make repro`" + ` has the same one.`,
		Example: "  coco version\n  coco version --measurement\n  coco version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			code, err := a.Own().Measure()
			if err != nil {
				return err
			}
			if only && !a.WantsJSON() {
				a.Out.Printf("%s\n", code)
				return nil
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"version": a.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "measurement": code})
			}
			a.Out.Printf("coco %s (%s, %s/%s)\n%s\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, code)
			return nil
		},
	}
	cmd.Flags().BoolVar(&only, "measurement", false, "show nothing but the measurement")
	a.OutputFlag(cmd)
	return cmd
}

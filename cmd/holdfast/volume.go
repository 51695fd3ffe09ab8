package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/volume"
)

// These commands work on the data directory of this machine themselves: a server cannot move the ground that it stands on.

func (c *cli) volumeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "volume", Short: "Make copies of databases instant on a disk that cannot share blocks",
		Long: `Copies of a database take no time and no space where the file system can share blocks (XFS, btrfs). Where it cannot (ext4), these commands keep the
databases of a data directory in an XFS file system of their own, in one file on the disk. They need root, and work on this machine only.`,
		Example: "  holdfast volume create --size 50G\n  holdfast volume show"}
	cmd.AddCommand(c.volumeCreateCommand(), c.volumeShowCommand(), c.volumeGrowCommand(), c.volumeMountCommand(), c.volumeRemoveCommand())
	return cmd
}

// place is where the databases of a data directory lie, and is told what is done on standard error.
func (c *cli) place(data string) volume.Place {
	return volume.Place{Note: filepath.Join(data, volumeNote), Folder: filepath.Join(data, branchesDir), Step: func(step string) { fmt.Fprintln(c.errOut, printable(step)) }}
}

// alone runs do while no server has the data directory. One that was never used is made when missing says so; otherwise nothing is done.
func (c *cli) alone(missing bool, do func(data string, p volume.Place) error) error {
	data, err := filepath.Abs(c.dataFlag())
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	if os.Geteuid() != 0 {
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "only root can make and mount a volume", Hint: "run this command with sudo"}
	}
	dir, err := claimDataDir(data)
	if err == nil && dir == nil && missing {
		dir, err = openDataDir(data)
	}
	if err != nil {
		return err
	}
	if dir == nil {
		return &holdfast.Error{Kind: holdfast.NotFound, Message: data + " is not a data directory", Hint: "name another one with --data"}
	}
	return errors.Join(do(data, c.place(data)), dir.Close())
}

func (c *cli) volumeCreateCommand() *cobra.Command {
	size, file := byteSize(0), ""
	cmd := &cobra.Command{
		Use: "create --size SIZE", Short: "Move the databases into an XFS file system in one file, so that copies share blocks", Args: cobra.NoArgs,
		Long: `Makes a file with an XFS file system, copies into it what databases there are, and mounts it where they were. The file takes only the space that is used, but
the whole size must be free on its disk. The server must not run. Interrupted, it is done or undone at the next start.

The volume is mounted again when the server starts, and by holdfast volume mount.`,
		Example: "  sudo holdfast volume create --size 50G\n  sudo holdfast volume create --size 200G --path /mnt/fast/holdfast.img --data /srv/holdfast",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if size == 0 {
				return noSize(cmd)
			}
			return c.alone(true, func(data string, p volume.Place) error {
				if _, err := p.Ready(cmd.Context()); err != nil {
					return err
				}
				if file == "" {
					file = filepath.Join(data, volumeFile)
				}
				if now, err := volume.Inspect(p.Folder); err != nil {
					return err
				} else if now.Reflinks() {
					return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("copies share their blocks already: the databases of %s lie on %s", data, now.FileSystem()), Hint: "holdfast volume show"}
				}
				absolute, err := filepath.Abs(file)
				if err != nil {
					return fmt.Errorf("find the file of the volume: %w", err)
				}
				if err := p.Create(cmd.Context(), absolute, int64(size)); err != nil {
					return err
				}
				return c.say("the databases of %s lie in %s; copies share their blocks", data, absolute)
			})
		},
	}
	cmd.Flags().Var(&size, "size", "how large it is when it is full, for example 50G")
	cmd.Flags().StringVar(&file, "path", "", "the file, on any disk of this machine (default: volume.img in the data directory)")
	return cmd
}

func noSize(cmd *cobra.Command) error {
	return usage(cmd, errors.New("--size is missing; for example --size 50G"))
}

func (c *cli) volumeMountCommand() *cobra.Command {
	return &cobra.Command{
		Use: "mount", Short: "Mount the volume again after the machine has started; where there is none, do nothing", Args: cobra.NoArgs,
		Long: `Mounts the volume of the data directory where it is not mounted, and finishes or takes back a creation that was interrupted. holdfast serve does the same
when it may mount; as a system service it may not, and the service runs this command first.`,
		Example: "  sudo holdfast volume mount --data /srv/holdfast",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.alone(false, func(data string, p volume.Place) error {
				_, err := p.Ready(cmd.Context())
				return err
			})
			if holdfast.KindOf(err) == holdfast.NotFound {
				return nil
			}
			return err
		},
	}
}

func (c *cli) volumeGrowCommand() *cobra.Command {
	size := byteSize(0)
	cmd := &cobra.Command{
		Use: "grow --size SIZE", Short: "Make the volume larger, also while databases run in it", Args: cobra.NoArgs, Example: "  sudo holdfast volume grow --size 100G",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if size == 0 {
				return noSize(cmd)
			}
			data, err := filepath.Abs(c.dataFlag())
			if err != nil {
				return fmt.Errorf("find the data directory: %w", err)
			}
			if err := c.place(data).Grow(cmd.Context(), int64(size)); err != nil {
				return err
			}
			return c.say("the volume has %s", &size)
		},
	}
	cmd.Flags().Var(&size, "size", "how large it is from now on, for example 100G")
	return cmd
}

func (c *cli) volumeRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove", Short: "Move the databases back to the disk and remove the volume", Args: cobra.NoArgs,
		Long: `Copies the databases out of the volume, back to the disk of the data directory, and removes the volume's file. Copies of databases that shared blocks take their
whole size there, and must fit. The server must not run. Interrupted, it is done or undone at the next start.`,
		Example: "  sudo holdfast volume remove",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.alone(false, func(data string, p volume.Place) error {
				if _, err := p.Ready(cmd.Context()); err != nil {
					return err
				}
				if err := p.Remove(cmd.Context()); err != nil {
					return err
				}
				return c.say("the databases of %s lie on its disk again", data)
			})
		},
	}
}

// volumeView is what holdfast volume show tells. Sizes are in bytes.
type volumeView struct {
	Folder      string `json:"folder"`
	FileSystem  string `json:"file_system"`
	CopyOnWrite bool   `json:"copy_on_write"`
	File        string `json:"file,omitempty"`
	Mounted     bool   `json:"mounted,omitempty"`
	Size        int64  `json:"size,omitempty"`
	Allocated   int64  `json:"allocated,omitempty"`
	Free        int64  `json:"free"`
	Logical     int64  `json:"logical"`
	Physical    int64  `json:"physical"`
}

func (c *cli) volumeShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show where databases lie, whether copies share blocks, and the space that they take", Args: cobra.NoArgs,
		Long: `Shows the folder in which the databases lie. Logical is their size as a copy elsewhere would take it; physical is the space that they take here, where
blocks that several of them share count once. As long as they share blocks, physical is less.`,
		Example: "  holdfast volume show\n  holdfast volume show --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := filepath.Abs(c.dataFlag())
			if err != nil {
				return fmt.Errorf("find the data directory: %w", err)
			}
			v, err := lookAtVolume(cmd.Context(), c.place(data))
			if err != nil {
				return err
			}
			return c.show(v, func(w io.Writer) { writeVolume(w, v) })
		},
	}
}

func lookAtVolume(ctx context.Context, p volume.Place) (volumeView, error) {
	status, err := p.Look()
	if err != nil {
		return volumeView{}, err
	}
	where, err := volume.Inspect(p.Folder)
	if err != nil {
		return volumeView{}, err
	}
	space, err := where.Space()
	if err != nil {
		return volumeView{}, err
	}
	view := volumeView{Folder: p.Folder, FileSystem: where.FileSystem(), CopyOnWrite: where.Reflinks(), Free: space.Free,
		File: status.File, Mounted: status.Mounted, Size: status.Size, Allocated: status.Allocated}
	used, err := where.Usage(ctx, p.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return view, nil
	}
	view.Logical, view.Physical = used.Logical, used.Physical
	if status.Mounted { // it holds nothing else, so its used blocks are theirs, each once
		view.Physical = space.Used
	}
	return view, err
}

func writeVolume(w io.Writer, v volumeView) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("folder", "%s", v.Folder)
	line("file system", "%s", v.FileSystem)
	if v.File != "" {
		line("volume", "%s, %s, of which %s are on its disk", v.File, size(v.Size), size(v.Allocated))
		if !v.Mounted {
			line("", "not mounted: holdfast volume mount")
		}
	}
	copies := "are full copies"
	if v.CopyOnWrite {
		copies = "share blocks with their origin"
	}
	line("copies", "%s", copies)
	line("databases", "%s logical, %s physical", size(v.Logical), size(v.Physical))
	line("free", "%s", size(v.Free))
}

// byteSize is a flag for a number of bytes, written as 50G or 512MiB. Units are powers of 1024.
type byteSize int64

// String implements pflag.Value.
func (b *byteSize) String() string { return size(int64(*b)) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "SIZE" }

// Set implements pflag.Value.
func (b *byteSize) Set(text string) error {
	number := strings.TrimRight(strings.ToUpper(text), "BI")
	shift := 0
	if at := strings.IndexAny(number, "KMGT"); at >= 0 && at == len(number)-1 {
		shift = 10 * (1 + strings.IndexByte("KMGT", number[at]))
		number = number[:at]
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift || shift == 0 {
		return fmt.Errorf("%q is not a size; write it as 50G", text)
	}
	*b = byteSize(n << shift)
	return nil
}

// openVolume makes ready where databases lie, and moves them into a volume of the wanted size when they lie where blocks cannot be shared.
func (h *house) openVolume(ctx context.Context) (*volume.Volume, error) {
	p := volume.Place{Note: h.dir.file(volumeNote), Folder: h.dir.file(branchesDir), Step: func(step string) { h.log.Info("volume", "step", step) }}
	there, err := p.Ready(ctx)
	if err != nil {
		return nil, err
	}
	if !there && h.volumeSize > 0 {
		now, err := volume.Inspect(p.Folder)
		if err != nil {
			return nil, err
		}
		if !now.Reflinks() {
			if err := p.Create(ctx, h.dir.file(volumeFile), h.volumeSize); err != nil {
				return nil, err
			}
		}
	}
	v, err := volume.Open(ctx, p.Folder)
	if err == nil && !v.Reflinks() && os.Geteuid() == 0 {
		h.copies = fmt.Sprintf("of a database are full copies, because %s cannot share blocks; to make them instant: %s", v.FileSystem(), volumeAdvice(v))
	}
	return v, err
}

// volumeAdvice is the command that makes a volume which fits on the disk.
func volumeAdvice(v *volume.Volume) string {
	gigabytes := int64(50)
	if space, err := v.Space(); err == nil {
		gigabytes = max(1, min(gigabytes, space.Free>>30/2))
	}
	return fmt.Sprintf("holdfast volume create --size %dG", gigabytes)
}

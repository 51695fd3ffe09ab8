package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast/holdfast"
)

// attachLoop makes the file a block device that frees itself when nobody uses it any more. Reads and writes pass the page cache of the file
// beneath, where the disk allows it: everything would be cached twice.
func attachLoop(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, failed("open the image "+path, err)
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, noLoop(err)
	}
	defer control.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, noLoop(err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, noLoop(err)
		}
		config := &unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO}}
		copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
		err = unix.IoctlLoopConfigure(int(device.Fd()), config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody else took the device between the two calls
			return nil, noLoop(err)
		}
	}
}

// resizeLoop lets the loop device under a mounted folder have the size that its file has got.
func resizeLoop(folder string) error {
	var stat unix.Stat_t
	if err := unix.Stat(folder, &stat); err != nil {
		return failed("look at "+folder, err)
	}
	name, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev)))
	if err != nil {
		return failed("find the loop device of "+folder, err)
	}
	device, err := os.OpenFile("/dev/"+filepath.Base(name), os.O_RDWR, 0)
	if err != nil {
		return noLoop(err)
	}
	defer device.Close()
	return failed("make the loop device of "+folder+" larger", unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0))
}

func noLoop(err error) error {
	return &holdfast.Error{Kind: holdfast.Precondition, Message: "cannot get a loop device", Hint: "load the kernel's module (modprobe loop); a container needs access to /dev/loop-control and /dev/loop*", Cause: err}
}

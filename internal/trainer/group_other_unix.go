//go:build unix && !linux

package trainer

import (
	"os/exec"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit returns when the process has ended. Its number is then free, and what
// is sent to its group might in theory reach a new group of the same number,
// which would have to be made within the grace.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() } // the error is in the state

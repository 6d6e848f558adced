//go:build unix

package trainer

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is the process group that a trainer leads.
type group struct{ id int }

func (g *group) prepare(cmd *exec.Cmd) { cmd.SysProcAttr = attributes() }

func (g *group) adopt(leader *os.Process) { g.id = leader.Pid }

// terminate asks all processes of the group to end. An error means that there are
// none.
func (g *group) terminate() { _ = syscall.Kill(-g.id, syscall.SIGTERM) }

// kill ends those who did not listen.
func (g *group) kill() { _ = syscall.Kill(-g.id, syscall.SIGKILL) }

func (g *group) close() {}

// signalOf returns the name of the signal that killed a process, or "".
func signalOf(s *os.ProcessState) string {
	status, ok := s.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	if name := unix.SignalName(status.Signal()); name != "" {
		return name
	}
	return status.Signal().String()
}

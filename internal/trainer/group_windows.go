package trainer

import (
	"os"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is the job object that a trainer is in. Its children are in it too, but
// for those started in the moment before adopt.
type group struct {
	job    windows.Handle // 0 if there is none: then only the trainer itself is ended
	leader *os.Process
}

func (g *group) prepare(*exec.Cmd) {}

// adopt puts the trainer into a job whose processes end with its last handle,
// that is also when this program dies.
func (g *group) adopt(leader *os.Process) {
	g.leader = leader
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err == nil {
		err = assign(job, leader.Pid)
	}
	if err != nil {
		windows.CloseHandle(job)
		return
	}
	g.job = job
}

func assign(job windows.Handle, pid int) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(process)
	return windows.AssignProcessToJobObject(job, process)
}

// terminate kills: there is no gentle way that works without a console.
func (g *group) terminate() { g.kill() }

func (g *group) kill() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1)
	}
	_ = g.leader.Kill() // an error means that it has ended
}

func (g *group) close() {
	if g.job != 0 {
		windows.CloseHandle(g.job)
	}
}

func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() } // the error is in the state

// signalOf returns "": there are no signals.
func signalOf(*os.ProcessState) string { return "" }

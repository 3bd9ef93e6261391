package rig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every Linux.
const tick = 10 * time.Millisecond

// Tree is the process pid and all that descend from it, as /proc shows them now.
func Tree(pid int) ([]int, error) {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for _, file := range stats {
		fields, err := statFields(file)
		if err != nil {
			continue // ended meanwhile
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// CPU is the processor time that a process, its children that have ended, and all living
// descendants have used so far.
func CPU(pid int) (time.Duration, error) {
	tree, err := Tree(pid)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, p := range tree {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}

// RSS is the resident memory of a process and all its descendants in bytes, shared pages counted in
// each.
func RSS(pid int) (int64, error) { return memory(pid, "VmRSS:") }

// PeakRSS is the sum of what each of them, as far as it lives, has had at most.
func PeakRSS(pid int) (int64, error) { return memory(pid, "VmHWM:") }

// AnonRSS is the part of it that is no file: what the process itself holds, without the pages of an
// index it has mapped.
func AnonRSS(pid int) (int64, error) { return memory(pid, "RssAnon:") }

// Descriptors is how many file descriptors a process has open.
func Descriptors(pid int) (int, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(open), err
}

func memory(pid int, field string) (int64, error) {
	tree, err := Tree(pid)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, p := range tree {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			continue // ended meanwhile
		}
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, field); ok {
				kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				sum += kb << 10
			}
		}
	}
	return sum, nil
}

// statFields are the fields of a stat file from the third on; the second, the command, may itself
// hold spaces and brackets.
func statFields(file string) ([]string, error) {
	stat, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("%s: %d fields", file, len(fields))
	}
	return fields, nil
}

package postgres

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// openLog opens the log file to append to it, after moving a long one aside, and says how long it is.
func (s *Server) openLog() (*os.File, int64, error) {
	path := s.config.LogFile
	if info, err := os.Stat(path); err == nil && info.Size() > s.config.MaxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("move the server's log aside: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open the server's log: %w", err)
	}
	info, err := log.Stat()
	if err == nil {
		err = s.config.Account.Own(path)
	}
	if err != nil {
		_ = log.Close()
		return nil, 0, fmt.Errorf("open the server's log: %w", err)
	}
	return log, info.Size(), nil
}

// TrimLog keeps the log file of a running server below its limit: the server holds it open, so its content is copied aside
// and the file cut to nothing. Lines that are written between the two are lost.
func (s *Server) TrimLog() error {
	path := s.config.LogFile
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= s.config.MaxLogSize {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the server's log: %w", err)
	}
	if err := copyAside(path, path+".1"); err != nil {
		return fmt.Errorf("copy the server's log aside: %w", err)
	}
	if err := s.config.Account.Own(path + ".1"); err != nil {
		return err
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("cut the server's log: %w", err)
	}
	return nil
}

func copyAside(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// LastLog returns the last lines of the server's log, at most n.
func (s *Server) LastLog(n int) []string { return s.logLines(0, n) }

// logLines returns the last n lines of the log from offset on. It reads at most 64 KiB, and nothing where there is no log.
func (s *Server) logLines(offset int64, n int) []string {
	const most = 64 << 10
	log, err := os.Open(s.config.LogFile)
	if err != nil {
		return nil
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil
	}
	start := max(offset, info.Size()-most)
	if start > info.Size() { // it was cut meanwhile
		start = 0
	}
	b, err := io.ReadAll(io.NewSectionReader(log, start, info.Size()-start))
	if err != nil || len(b) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}

// Reads tar archives with Go's archive/tar, the reader of docker, containerd and podman, and prints what
// they hold: a JSON line for every entry, then one with the error or the end.
//
// Names of archives come on standard input, a line each.
package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// Bytes of the largest file that is read: a sparse one can be of any size.
const largest = 64 << 20

type entry struct {
	Type  string `json:"type"`
	Path  string `json:"path"` // hex, since names are bytes
	Link  string `json:"link"`
	Mode  int64  `json:"mode"`
	Uid   int    `json:"uid"`
	Gid   int    `json:"gid"`
	Mtime int64  `json:"mtime"`
	Nanos int    `json:"nanos"`
	Size  int64  `json:"size"`
	Hash  string `json:"sha256"`
}

type end struct {
	Error string `json:"error"`
}

func walk(name string, out *json.Encoder) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	// Without Seek, so that an entry that is cut off is an error as in a stream.
	archive := tar.NewReader(struct{ io.Reader }{bufio.NewReader(file)})
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		hash := sha256.New()
		length, err := io.Copy(hash, io.LimitReader(archive, largest+1))
		if err != nil {
			return err
		}
		if length > largest {
			return errors.New("too large")
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		out.Encode(entry{
			string(header.Typeflag), hex.EncodeToString([]byte(header.Name)), hex.EncodeToString([]byte(header.Linkname)),
			header.Mode, header.Uid, header.Gid, header.ModTime.Unix(), header.ModTime.Nanosecond(), header.Size,
			hex.EncodeToString(hash.Sum(nil)),
		})
	}
}

func main() {
	buffered := bufio.NewWriter(os.Stdout)
	out := json.NewEncoder(buffered)
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		err := walk(names.Text(), out)
		if err == nil {
			out.Encode(end{})
		} else {
			out.Encode(end{err.Error()})
		}
		buffered.Flush()
	}
}

// Reads tar archives with Go's archive/tar, the reader of docker, containerd and podman, and prints what
// they hold: a JSON line for every entry, then one with the error or the end, and with what is wrong behind the end.
// What is compressed with gzip or bzip2 is read through Go's own packages for these.
//
// Names of archives come on standard input, a line each.
package main

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
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
	Error  string `json:"error"`
	Behind string `json:"behind"`
}

func inflated(file io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(file)
	head, _ := buffered.Peek(3)
	switch string(head) {
	case "\x1f\x8b\x08":
		return gzip.NewReader(buffered)
	case "BZh":
		return bzip2.NewReader(buffered), nil
	}
	return buffered, nil
}

func walk(name string, out *json.Encoder) (wrong error, behind error) {
	file, err := os.Open(name)
	if err != nil {
		return err, nil
	}
	defer file.Close()
	stream, err := inflated(file)
	if err != nil {
		return err, nil
	}
	// Without Seek, so that an entry that is cut off is an error as in a stream.
	archive := tar.NewReader(struct{ io.Reader }{stream})
	for {
		header, err := archive.Next()
		if err == io.EOF {
			_, behind = io.Copy(io.Discard, stream)
			return nil, behind
		}
		if err != nil {
			return err, nil
		}
		hash := sha256.New()
		length, err := io.Copy(hash, io.LimitReader(archive, largest+1))
		// A wrong checksum of the compression may be told with the last bytes, which are whole; a wrong sparse map
		// is only told behind them.
		if err != nil && (length < header.Size || strings.Contains(err.Error(), "sparse file")) {
			return err, nil
		}
		if length > largest {
			return errors.New("too large"), nil
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
		wrong, behind := walk(names.Text(), out)
		out.Encode(end{words(wrong), words(behind)})
		buffered.Flush()
	}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Prints, for each URL on the standard input, the proxy that Go's programs would ask for it; "-" for none.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		target, err := url.Parse(lines.Text())
		if err != nil {
			fmt.Println("!", err)
			continue
		}
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: target})
		switch {
		case err != nil:
			fmt.Println("!", err)
		case proxy == nil:
			fmt.Println("-")
		default:
			fmt.Println(proxy)
		}
	}
}

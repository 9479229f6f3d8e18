# Turns user-data ("#cloud-config" and JSON) or network-config (JSON) into shell text for init.sh.
#
# The text is read into a flat map, path to value (".runcmd[0][1]" to "hello"), then the few keys that the test
# guest knows become commands: hostname, write_files, bootcmd, runcmd; ethernets (version 2), config (version 1).
# Like cloud-init: a command that is a string is the shell's own text, one that is a list is quoted word by word.

{ if (NR > 1 || $0 !~ /^#/) text = text $0 "\n" }

END {
  at = 1
  value("")
  if (part == "user-data") user(); else network()
}

function peek() { while (substr(text, at, 1) ~ /[ \t\r\n]/) at++; return substr(text, at, 1) }

function value(path,   c, n, key, rest) {
  c = peek()
  if (c == "{") {
    at++
    while (peek() == "\"") {
      key = string()
      if (peek() == ":") at++
      value(path "." key)
      kind[path] = "map"; members[path] = members[path] key "\n"
      if (peek() == ",") at++
    }
    at++
  } else if (c == "[") {
    at++; n = 0
    while (peek() != "]" && at <= length(text)) {
      value(path "[" n "]"); n++
      if (peek() == ",") at++
    }
    at++; kind[path] = "list"; count[path] = n
  } else if (c == "\"") {
    kind[path] = "text"; of[path] = string()
  } else {
    rest = substr(text, at); match(rest, /^[^],} \t\r\n]+/)
    if (RLENGTH < 1) RLENGTH = 1
    kind[path] = "text"; of[path] = substr(rest, 1, RLENGTH); at += RLENGTH
  }
}

# Whole runs between escapes at a time: a character at a time takes a second for a few kilobytes under emulation.
function string(   out, rest, c) {
  at++
  while (at <= length(text)) {
    rest = substr(text, at)
    match(rest, /^[^"\\]*/)
    out = out substr(rest, 1, RLENGTH); at += RLENGTH
    c = substr(text, at, 1)
    if (c != "\\") { at++; return out }
    c = substr(text, at + 1, 1); at += 2
    if (c == "n") out = out "\n"
    else if (c == "t") out = out "\t"
    else if (c == "r") out = out "\r"
    else if (c == "u") { out = out utf8(hex(substr(text, at, 4))); at += 4 }
    else if (c == "U") { out = out utf8(hex(substr(text, at, 8))); at += 8 }
    else out = out c
  }
  return out
}

function hex(digits,   i, n) {
  for (i = 1; i <= length(digits); i++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
  return n
}

function utf8(n) {
  if (n < 128) return sprintf("%c", n)
  if (n < 2048) return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
  if (n < 65536) return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
  return sprintf("%c%c%c%c", 240 + int(n / 262144), 128 + int(n / 4096) % 64, 128 + int(n / 64) % 64, 128 + n % 64)
}

function quoted(word) { gsub(/'/, "'\\''", word); return "'" word "'" }

# Each command in a shell of its own: an "exit" or a syntax error in one ends that one.
function commands(name, path,   i, k, item, out) {
  print name "() {\n:"
  for (i = 0; i < count[path]; i++) {
    item = path "[" i "]"
    if (kind[item] == "list") {
      out = ""
      for (k = 0; k < count[item]; k++) out = out quoted(of[item "[" k "]"]) " "
      print out
    } else print "sh -c " quoted(of[item])
  }
  print "}"
}

function user(   i, item) {
  if (of[".hostname"] != "") print "name=" quoted(of[".hostname"])
  for (i = 0; i < count[".write_files"]; i++) {
    item = ".write_files[" i "]"
    print "mkdir -p \"$(dirname " quoted(of[item ".path"]) ")\"; printf %s " quoted(of[item ".content"]) " >" quoted(of[item ".path"])
    if (of[item ".permissions"] != "") print "chmod " quoted(of[item ".permissions"]) " " quoted(of[item ".path"])
  }
  commands("at_boot", ".bootcmd")
  commands("at_first_boot", ".runcmd")
}

# A shell expression for the interface with this address, else the name as given.
function device(name, mac) {
  if (mac == "") return quoted(name)
  return "\"$(grep -li " quoted(mac) " /sys/class/net/*/address | head -n 1 | cut -d / -f 5)\""
}

function network(   n, names, i, k, item, dev, parts) {
  if (kind[".network"] == "map") prefix = ".network"
  n = split(members[prefix ".ethernets"], names, "\n")
  for (i = 1; i < n; i++) {
    item = prefix ".ethernets." names[i]
    dev = device(names[i], of[item ".match.macaddress"])
    for (k = 0; k < count[item ".addresses"]; k++) print "ip address add " quoted(of[item ".addresses[" k "]"]) " dev " dev
    if (of[item ".mtu"] != "") print "ip link set mtu " quoted(of[item ".mtu"]) " dev " dev
    if (of[item ".gateway4"] != "") print "ip route add default via " quoted(of[item ".gateway4"])
    for (k = 0; k < count[item ".routes"]; k++) print "ip route add " quoted(of[item ".routes[" k "].to"]) " via " quoted(of[item ".routes[" k "].via"])
  }
  for (i = 0; i < count[prefix ".config"]; i++) {
    item = prefix ".config[" i "]"
    dev = device(of[item ".name"], of[item ".mac_address"])
    for (k = 0; k < count[item ".subnets"]; k++) {
      parts = of[item ".subnets[" k "].address"]
      if (parts == "") continue
      if (parts !~ /\//) parts = parts "/" (of[item ".subnets[" k "].netmask"] == "" ? 24 : of[item ".subnets[" k "].netmask"])
      print "ip address add " quoted(parts) " dev " dev
      if (of[item ".subnets[" k "].gateway"] != "") print "ip route add default via " quoted(of[item ".subnets[" k "].gateway"])
    }
  }
}

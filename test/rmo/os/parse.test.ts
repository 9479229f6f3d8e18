import { existsSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { cpuShares, parseCpuModel, parseDiskstats, parseLoadavg, parseMeminfo, parseMountinfo, parseNetDev, parseOsRelease, parseStat } from '../../../rmo/os/parse.ts'

const count = fc.nat({ max: 2 ** 40 })
const parsers = { parseStat, parseMeminfo, parseLoadavg, parseDiskstats, parseNetDev, parseMountinfo, parseOsRelease, parseCpuModel }
const samples = ['/proc/stat', '/proc/meminfo', '/proc/loadavg', '/proc/diskstats', '/proc/net/dev', '/proc/self/mountinfo', '/etc/os-release', '/proc/cpuinfo']
  .filter((path) => existsSync(path)).map((path) => readFileSync(path, 'utf8').slice(0, 8_192))

test('no text makes a parser throw', async (t) => {
  // Real texts cut, doubled and with a character replaced: what odd kernels and half-read files look like.
  const damaged = fc.tuple(fc.constantFrom(...samples), fc.nat(8_192), fc.nat(8_192), fc.string({ maxLength: 4 }))
    .map(([text, from, to, put]) => text.slice(0, from) + put + text.slice(to))
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), damaged), (text) => {
    for (const parse of Object.values(parsers)) parse(text)
  }), { numRuns: 300 })
  t.pass()
})

test('/proc/stat: what was written is read', async (t) => {
  const ticks = fc.tuple(count, count, count, count, count, count, count, count)
  fc.assert(fc.property(ticks, fc.array(ticks, { maxLength: 8 }), (all, cores) => {
    const line = (label: string, values: readonly number[]): string => `${label}  ${values.join(' ')} 0 0`
    const text = [line('cpu', all), ...cores.map((core, i) => line(`cpu${i}`, core)), 'intr 5 6 7', 'cpufreq 12 13 14 15'].join('\n')
    const parsed = parseStat(text)
    const [user, nice, system, idle, wait, irq, softIrq, steal] = all
    return parsed.cores.size === cores.length && JSON.stringify(parsed.all) ===
      JSON.stringify({ user: user + nice, system: system + irq + softIrq, wait, idle, steal })
  }))
  t.same(parseStat(''), { all: undefined, cores: new Map() })
  t.same(parseStat('cpu  1 2 3 4').all, { user: 3, system: 3, wait: 0, idle: 4, steal: 0 }, 'kernels before 2.6 have four columns')
})

test('shares lie in 0 to 1 whatever the counters do', async (t) => {
  const ticks = fc.record({ user: count, system: count, wait: count, idle: count, steal: count })
  fc.assert(fc.property(fc.option(ticks, { nil: undefined }), ticks, (before, now) => {
    const shares = cpuShares(before, now)
    const values = Object.values(shares)
    return values.every((value) => value >= 0 && value <= 1) && Math.abs(shares.cpuRatio - shares.userRatio - shares.systemRatio - shares.stealRatio) < 1e-9
  }))
  const zero = { user: 0, system: 0, wait: 0, idle: 0, steal: 0 }
  t.same(cpuShares(zero, zero).cpuRatio, 0, 'no time passed')
  t.equal(cpuShares(zero, { ...zero, user: 30, idle: 60, wait: 10 }).cpuRatio, 0.3, 'waiting for I/O is not use')
  t.equal(cpuShares({ ...zero, idle: 5 }, { ...zero, user: 1, idle: 4 }).cpuRatio, 1, 'a counter that ran backwards counts as unchanged')
})

test('/proc/meminfo', async (t) => {
  fc.assert(fc.property(count, count, (total, available) => {
    const memory = parseMeminfo(`MemTotal: ${total} kB\nMemFree: 1 kB\nMemAvailable: ${available} kB\nActive(anon): 4 kB\n`)
    return total === 0 ? memory === undefined : memory?.totalBytes === total * 1024 && memory.freeBytes === Math.min(total, available) * 1024
  }))
  t.equal(parseMeminfo('MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n')?.freeBytes, 35 * 1024, 'kernels before 3.14')
})

test('/proc/loadavg', async (t) => {
  t.same(parseLoadavg('0.98 0.36 0.16 2/93 6477\n'), { load1: 0.98, load5: 0.36, load15: 0.16, running: 2, tasks: 93 })
  t.equal(parseLoadavg('nan'), undefined)
})

test('/proc/diskstats', async (t) => {
  const text = '   7       0 loop0 9 0 9 0 0 0 0 0 0 0 0 0 0 0 0\n 254 0 vda 100 5 800 7 50 2 1600 9 1 33 44 0 0 0 0\n 254 1 vda1 0 0 0 0 0 0 0 0 0 0 0\n'
  t.same(parseDiskstats(text), [{ device: 'vda', reads: 100, readBytes: 409_600, writes: 50, writtenBytes: 819_200, inFlight: 1, busyMs: 33 }])
})

test('/proc/net/dev', async (t) => {
  const name = fc.stringMatching(/^[a-z][a-z0-9.@_-]{0,14}$/)
  fc.assert(fc.property(name, fc.array(count, { minLength: 16, maxLength: 16 }), fc.boolean(), (called, counters, spaced) => {
    const [found] = parseNetDev(`Inter-|   Receive\n face |bytes\n  ${called}:${spaced ? ' ' : ''}${counters.join('   ')}\n`)
    return found?.name === called && found.receivedBytes === counters[0] && found.receiveDrops === counters[3] && found.sentBytes === counters[8] && found.sendErrors === counters[10]
  }))
  t.same(parseNetDev('garbage: 1 2\n'), [])
})

test('mountinfo', async (t) => {
  const text = [
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '40 27 254:0 /srv /srv/copy rw shared:1 - ext4 /dev/vda rw',
    '41 27 0:99 / /mnt/two\\040words rw - nfs4 server:/x rw',
    '42 27 7:1 / /snap/core ro - squashfs /dev/loop1 ro',
    '43 27 0:50 / /tank rw - zfs tank rw',
    'cut short',
  ].join('\n')
  t.same(parseMountinfo(text), [
    { mount: '/', device: '/dev/vda', type: 'ext4', remote: false },
    { mount: '/mnt/two words', device: 'server:/x', type: 'nfs4', remote: true },
    { mount: '/tank', device: 'tank', type: 'zfs', remote: false },
  ])
  t.match(parseMountinfo('1 0 0:30 / / rw - overlay overlay rw'), [{ mount: '/', type: 'overlay' }], 'the root of a container')
})

test('what the machine is', async (t) => {
  t.equal(parseOsRelease('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n'), 'Debian GNU/Linux 12 (bookworm)')
  t.equal(parseOsRelease("NAME='A \"B\"'\n"), 'A "B"')
  t.equal(parseOsRelease('NAME=alpine\n'), 'alpine')
  t.equal(parseOsRelease('# nothing\n'), undefined)
  t.equal(parseCpuModel('processor\t: 0\nmodel name\t: Some CPU @ 2GHz\n'), 'Some CPU @ 2GHz')
  t.equal(parseCpuModel('processor : 0\nBogoMIPS : 1\n'), undefined)
})

test('this machine', { skip: os.platform() !== 'linux' }, async (t) => {
  const stat = parseStat(readFileSync('/proc/stat', 'utf8'))
  t.ok(stat.cores.size > 0 && stat.all !== undefined)
  t.equal(parseMeminfo(readFileSync('/proc/meminfo', 'utf8'))?.totalBytes, os.totalmem())
})

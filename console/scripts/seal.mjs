// Seals the build: dist/source.sha256 names the sources that it was built from and the files that came out. The Go test beside
// console.go computes both again, so that neither a stale build nor an edited one passes.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { licences } from './licences.mjs'

const sources = [
  'biome.json',
  'index.html',
  'package-lock.json',
  'package.json',
  'scripts',
  'src',
  'tsconfig.json',
  'vite.config.ts',
]
const seal = 'dist/source.sha256'

function files(path) {
  const entries = readdirSync(path, { withFileTypes: true })
  return entries.flatMap((e) => (e.isDirectory() ? files(join(path, e.name)) : [join(path, e.name)]))
}

function isDirectory(path) {
  return !path.includes('.')
}

/** The hash of a list of files: for each, in the order of its path's bytes, path, length and content. */
function hashOf(paths) {
  const hash = createHash('sha256')
  for (const path of [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const content = readFileSync(path)
    hash.update(`${path}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

writeFileSync('dist/licences.txt', licences())
const source = hashOf(sources.flatMap((path) => (isDirectory(path) ? files(path) : [path])))
const built = hashOf(files('dist').filter((path) => path !== seal))
writeFileSync(seal, `source ${source}\nbuilt ${built}\n`)

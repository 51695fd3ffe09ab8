// Collects the licences of the packages that the browser is handed: everything in the lock file that is not for development.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export function licences() {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  const parts = []
  for (const [path, about] of Object.entries(lock.packages)) {
    if (path === '' || about.dev || about.optional || !existsSync(path)) continue
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    // Types are not code.
    if (name.startsWith('@types/') || name === 'csstype') continue
    const text = readdirSync(path)
      .filter((file) => /^(licen[cs]e|notice)(\.|$)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(path, file), 'utf8').replaceAll('\r\n', '\n').trim())
      .join('\n\n')
    parts.push(
      `${name} ${about.version} (${about.license ?? 'see below'})\n\n${text || 'The package carries no licence file.'}\n`,
    )
  }
  const rule = `\n${'-'.repeat(80)}\n\n`
  return `The console contains these packages.\n${rule}${parts.join(rule)}`
}

import { call, send } from './client'
import type { components } from './schema'

type Schemas = components['schemas']
export type Backup = Schemas['Backup']
export type BackupData = Schemas['BackupData']
export type NewBackup = Schemas['NewBackup']

const root = '/api/admin/backups'
const one = (id: string, rest = '') => `${root}/${encodeURIComponent(id)}${rest}`

/** Portable backups. Their routes stand beside those of the versioned API. */
export const backups = {
  all: async (signal?: AbortSignal) => (await call<{ items: Backup[] }>('GET', root, { signal, prefix: '' })).items,
  create: (ask: NewBackup) => call<Backup>('POST', root, { body: ask, prefix: '' }),
  remove: (id: string) => call<void>('DELETE', one(id), { prefix: '' }),
  rows: (id: string, table: string, page: number, signal?: AbortSignal) =>
    call<BackupData>('GET', one(id, `/data?page=${page}${table && `&table=${encodeURIComponent(table)}`}`), {
      signal,
      prefix: '',
    }),
  /** Hands the backup to the browser as a file. The token is sent in a header, never in the address. */
  download: async (b: Backup) => {
    const response = await send('GET', one(b.id, '/download'), { accept: '*/*', prefix: '' })
    const named = /filename="?([^";]+)"?/.exec(response.headers.get('Content-Disposition') ?? '')?.[1]
    const url = URL.createObjectURL(await response.blob())
    const link = document.createElement('a')
    link.href = url
    link.download = named ?? b.name
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
  },
}

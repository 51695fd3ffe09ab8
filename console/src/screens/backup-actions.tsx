import { ArrowDownToLine, BadgeCheck, Pin, RotateCcw, ShieldCheck, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { backups as api, type Backup } from '@/api/backups'
import type { Rights } from '@/lib/rights'
import { Confirm } from '@/ui/confirm'
import { Checkbox } from '@/ui/field'
import { MenuItem, MenuLine } from '@/ui/menu'
import { RestoreDialog } from './backup-restore'

export type BackupQuestion = 'restore' | 'delete' | null

/** Whether somebody may change a backup: production's take an admin and never an agent. */
export function mayKeep(rights: Rights, b: Backup): boolean {
  return b.branch === 'production' ? rights.admin && !rights.agent : rights.write
}

type ItemProps = {
  backup: Backup
  rights: Rights
  ask: (question: BackupQuestion) => void
  again: () => void
  onWork: (id: string, title: string) => void
  onError: (error: unknown) => void
}

/** What can be done with a backup, as entries of a menu. */
export function BackupItems({ backup: b, rights, ask, again, onWork, onError }: ItemProps) {
  const may = mayKeep(rights, b)
  const done = b.status === 'completed'
  const change = (what: Promise<unknown>) => what.then(again, onError)
  return (
    <>
      {done && (
        <>
          <MenuItem onSelect={() => api.download(b).catch(onError)}>
            <ArrowDownToLine /> Download
          </MenuItem>
          {rights.write && (
            <MenuItem onSelect={() => ask('restore')}>
              <RotateCcw /> Restore…
            </MenuItem>
          )}
        </>
      )}
      {done && may && (
        <>
          <MenuItem
            onSelect={() => api.verify(b.id).then((job) => onWork(job.id, `Proving that ${b.name} restores`), onError)}
          >
            <ShieldCheck /> Verify
          </MenuItem>
          <MenuItem onSelect={() => change(api.change(b.id, { pinned: !b.pinned }))}>
            <Pin /> {b.pinned ? 'Unpin' : 'Pin'}
          </MenuItem>
          {b.held && (
            <MenuItem onSelect={() => change(api.change(b.id, { verified: true }))}>
              <BadgeCheck /> I have looked at it: verified
            </MenuItem>
          )}
        </>
      )}
      {may && b.status !== 'in_progress' && (
        <>
          <MenuLine />
          <MenuItem danger onSelect={() => ask('delete')}>
            <Trash2 /> Delete…
          </MenuItem>
        </>
      )}
    </>
  )
}

type DialogProps = {
  backup: Backup
  question: BackupQuestion
  ask: (question: BackupQuestion) => void
  again: () => void
  onWork: (id: string, title: string) => void
  onDeleted?: () => void
}

/** The questions that entries of the menu ask before something is done. */
export function BackupDialogs({ backup: b, question, ask, again, onWork, onDeleted }: DialogProps) {
  const [force, setForce] = useState(false)
  const close = () => {
    setForce(false)
    ask(null)
  }
  return (
    <>
      {question === 'restore' && <RestoreDialog backup={b} onClose={close} onWork={onWork} />}
      <Confirm
        open={question === 'delete'}
        onOpenChange={(o) => !o && close()}
        title={`Delete ${b.name}?`}
        action="Delete"
        danger
        production={b.branch === 'production'}
        onConfirm={async () => {
          await api.remove(b.id, force)
          again()
          onDeleted?.()
        }}
      >
        <p>Its copies are deleted from every destination.</p>
        <div className="mt-3">
          <Checkbox
            checked={force}
            onCheckedChange={setForce}
            label="Also when something holds it"
            hint="It is pinned, held until somebody has looked at it, or the last good one of its branch."
          />
        </div>
      </Confirm>
    </>
  )
}

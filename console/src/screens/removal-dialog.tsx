import { useState } from 'react'
import { removals as api, type Removal } from '@/api/removal'
import type { Branch, Job } from '@/api/types'
import { ProductionBar } from '@/ui/confirm'
import { Checkbox, Field, Input } from '@/ui/field'
import { FormDialog } from './branch-dialogs'

type Props = {
  /** What is removed: a preview branch, or a whole project with its development and production. */
  project: string
  branch?: Branch
  onClose: () => void
  onWork: (job: Job, title: string) => void
}

/** Asks for the name before a database is removed, and for it once more when that is for good. */
export function RemovalDialog({ project, branch, onClose, onWork }: Props) {
  const [typed, setTyped] = useState('')
  const [again, setAgain] = useState('')
  const [now, setNow] = useState(false)
  const [noBackup, setNoBackup] = useState(false)
  const short = branch?.name ?? project
  const full = branch ? `${project}/${branch.name}` : project
  const how: Removal = { now, confirm: again, noBackup }
  return (
    <FormDialog
      title={branch ? `Remove ${branch.name}?` : `Remove the databases of ${project}?`}
      about={
        now
          ? 'It is gone for good at once. Nobody can bring it back.'
          : 'Its door is closed and its server stops. For seven days it can be brought back whole: data, name, credentials and history.'
      }
      action="Yes, Remove database"
      danger
      banner={branch ? undefined : <ProductionBar />}
      ready={typed === short && (!now || again === full)}
      onClose={onClose}
      onSubmit={async () => {
        const job = branch ? await api.removeBranch(branch, how) : await api.removeProject(project, how)
        onClose()
        onWork(job, `Removing ${short}`)
      }}
    >
      {!branch && (
        <p className="text-sm">
          Development, <strong className="text-production">production</strong> and every branch of {project} go
          together.
        </p>
      )}
      <Field label={`Type ${short} to go on`}>
        {(ids) => <Input {...ids} autoFocus value={typed} onChange={(e) => setTyped(e.target.value)} />}
      </Field>
      <Checkbox checked={now} onCheckedChange={setNow} label="For good at once" hint="Without the seven days." />
      {now && (
        <>
          <Field label={`Type ${full} once more`}>
            {(ids) => <Input {...ids} value={again} onChange={(e) => setAgain(e.target.value)} />}
          </Field>
          <Checkbox
            checked={noBackup}
            onCheckedChange={setNoBackup}
            label="Without a final backup"
            hint="Otherwise one is made first, and where that fails nothing is removed."
          />
        </>
      )}
    </FormDialog>
  )
}

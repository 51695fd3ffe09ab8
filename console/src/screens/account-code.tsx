import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { toast } from 'sonner'
import { account as api, type CodeSetup } from '@/api/people'
import { Button } from '@/ui/button'
import { CodeField } from '@/ui/code-field'
import { CopyButton } from '@/ui/copy'
import { Dialog } from '@/ui/dialog'
import { Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { QRCode } from '@/ui/qr'
import { FormDialog } from './branch-dialogs'

/** Sets an authenticator up: the password, the picture with a first code, the recovery codes. */
export function CodeDialog({ onClose }: { onClose: () => void }) {
  const [setup, setSetup] = useState<CodeSetup | null>(null)
  const [codes, setCodes] = useState<string[] | null>(null)
  if (codes) return <RecoveryCodes codes={codes} onClose={onClose} />
  if (setup) return <Scan setup={setup} onClose={onClose} onConfirmed={setCodes} />
  return (
    <PasswordFirst
      title="Set up an authenticator"
      about="Any app that shows codes of six digits will do. Your password first."
      action="Continue"
      onClose={onClose}
      onSubmit={async (password) => setSetup(await api.beginCode(password))}
    />
  )
}

/** Lets the password alone be enough again. */
export function RemoveCodeDialog({ onClose }: { onClose: () => void }) {
  return (
    <PasswordFirst
      title="Switch the authenticator off?"
      about="Whoever knows your password can sign in then. The recovery codes end, too."
      action="Switch off"
      danger
      onClose={onClose}
      onSubmit={async (password) => {
        await api.removeCode(password)
        toast.success('The password alone is enough again')
        onClose()
      }}
    />
  )
}

type PasswordFirstProps = {
  title: string
  about: string
  action: string
  danger?: boolean
  onClose: () => void
  onSubmit: (password: string) => Promise<unknown>
}

function PasswordFirst({ onSubmit, ...props }: PasswordFirstProps) {
  const [password, setPassword] = useState('')
  return (
    <FormDialog {...props} ready={password !== ''} onSubmit={() => onSubmit(password)}>
      <Field label="Your password">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            type="password"
            autoComplete="current-password"
            maxLength={256}
            value={password}
            onChange={(e) => setPassword(e.target.value)}
          />
        )}
      </Field>
    </FormDialog>
  )
}

type ScanProps = { setup: CodeSetup; onClose: () => void; onConfirmed: (codes: string[]) => void }

function Scan({ setup, onClose, onConfirmed }: ScanProps) {
  const [code, setCode] = useState('')
  const confirm = useMutation({ mutationFn: () => api.confirmCode(code.trim()), onSuccess: onConfirmed })
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title="Scan this with your authenticator"
      description="Then type the code that it shows. Nothing changes before."
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            variant="primary"
            busy={confirm.isPending}
            disabled={code.trim().length < 6}
            onClick={() => confirm.mutate()}
          >
            Switch on
          </Button>
        </>
      }
    >
      <form
        className="flex flex-col items-center gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (code.trim().length >= 6) confirm.mutate()
        }}
      >
        <QRCode text={setup.url} label="QR code for your authenticator" />
        <div className="flex w-full items-center gap-2 rounded-lg border border-line bg-sunken py-1.5 pr-1.5 pl-3">
          <code className="min-w-0 flex-1 break-all text-xs" data-testid="code-secret">
            {setup.secret}
          </code>
          <CopyButton text={setup.secret} label="Copy the secret">
            Copy
          </CopyButton>
        </div>
        <div className="w-full">
          <CodeField value={code} onChange={setCode} />
        </div>
        {confirm.error && <ErrorNotice error={confirm.error} className="w-full" />}
      </form>
    </Dialog>
  )
}

function RecoveryCodes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title="Keep these recovery codes"
      description="Each stands in for the authenticator once. They are shown this once; keep them where the authenticator is not."
      footer={
        <>
          <CopyButton text={`${codes.join('\n')}\n`} label="Copy the recovery codes" size="md">
            Copy
          </CopyButton>
          <Button variant="primary" onClick={onClose}>
            I have kept them
          </Button>
        </>
      }
    >
      <ul
        className="grid grid-cols-2 gap-x-4 gap-y-1.5 rounded-lg border border-line bg-sunken p-3 font-mono text-xs"
        aria-label="Recovery codes"
      >
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ul>
    </Dialog>
  )
}

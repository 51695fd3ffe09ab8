import { Dialog } from '@/ui/dialog'
import { Kbd } from '@/ui/pieces'
import type { Shortcut } from './shortcuts'

export function ShortcutsDialog({ shortcuts, onClose }: { shortcuts: readonly Shortcut[]; onClose: () => void }) {
  const groups = ['Go to', 'Do']
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title="Keyboard shortcuts" className="max-w-lg">
      <div className="grid gap-6 sm:grid-cols-2">
        {groups.map((group) => (
          <section key={group}>
            <h3 className="mb-2 font-medium text-faint text-xs">{group}</h3>
            <ul className="flex flex-col gap-2">
              {shortcuts
                .filter((s) => s.group === group)
                .map((s) => (
                  <li key={s.keys} className="flex items-center justify-between gap-3">
                    <span>{s.label}</span>
                    <span className="flex gap-1">
                      {s.keys.split(' ').map((key) => (
                        <Kbd key={key}>{key}</Kbd>
                      ))}
                    </span>
                  </li>
                ))}
              {group === 'Do' && (
                <li className="flex items-center justify-between gap-3">
                  <span>Search and commands</span>
                  <span className="flex gap-1">
                    <Kbd>Ctrl</Kbd>
                    <Kbd>K</Kbd>
                  </span>
                </li>
              )}
            </ul>
          </section>
        ))}
      </div>
    </Dialog>
  )
}

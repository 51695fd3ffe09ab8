import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { newQueryClient } from './api/queries'
import { newRouter } from './app/router'
import { startTheme } from './app/theme'
import { Toaster } from './app/toaster'
import { shareNonce } from './lib/nonce'
import './main.css'
import { TooltipProvider } from './ui/tooltip'

shareNonce()
startTheme()

// The server was replaced by another version while this page was open: what it would load next is gone, so take the new page.
window.addEventListener('vite:preloadError', (event) => {
  const key = 'holdfast.reloaded'
  const last = Number(sessionStorage.getItem(key) ?? 0)
  if (Date.now() - last < 10_000) return
  sessionStorage.setItem(key, String(Date.now()))
  event.preventDefault()
  location.reload()
})

const client = newQueryClient()
const router = newRouter(client)
const root = document.getElementById('root')
if (!root) throw new Error('the page has no root')

createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <TooltipProvider delayDuration={300}>
        <RouterProvider router={router} />
        <Toaster />
      </TooltipProvider>
    </QueryClientProvider>
  </StrictMode>,
)

//! The real servers: nginx in each server's namespace (it says its name, and can be told to fail its
//! check), a UDP echo server beside it, and on tunnel servers the unpacking of IP-in-IP.

use crate::net::{ECHO_PORT, HOSTS, Host, HostKind};
use crate::ns::{self, Guard};
use crate::timeline::Timeline;
use crate::tunnel;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

/// Port of the services that are forwarded by NAT.
pub const PORT_NAT: u16 = 80;
/// Port of the services that are forwarded directly.
pub const PORT_DIRECT: u16 = 81;
/// Port of the services that are forwarded by tunnel.
pub const PORT_TUNNEL: u16 = 82;

/// All servers of the LAN.
#[derive(Debug)]
pub struct Servers {
    folder: PathBuf,
    timeline: Timeline,
    running: HashMap<&'static str, Guard>,
}

impl Servers {
    /// Starts everything, with files below `folder`.
    pub fn start(folder: &Path, timeline: &Timeline) -> Result<Self> {
        let mut servers = Servers {
            folder: folder.into(),
            timeline: timeline.clone(),
            running: HashMap::new(),
        };
        for host in HOSTS {
            servers.write_config(host)?;
            servers.launch(host.name)?;
            echo(host.name)?;
            if host.kind == HostKind::Tunnel {
                tunnel::unpack(host.name)?;
            }
        }
        Ok(servers)
    }

    fn write_config(&self, host: Host) -> Result<()> {
        let name = host.name;
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let dir = folder.display();
        let listen: String = [PORT_NAT, PORT_DIRECT, PORT_TUNNEL]
            .map(|port| format!("listen {port}; listen [::]:{port};"))
            .join(" ");
        let config = format!(
            "daemon off; master_process off; user root; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; server_tokens off; keepalive_timeout 600; default_type text/plain;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
    {listen}
    location = / {{ return 200 \"{name}\\n\"; }}
    location = /health {{ if (-f {dir}/unwell) {{ return 503; }} return 200 \"well\\n\"; }}
    location /files/ {{ root {dir}; }}
  }}
}}
"
        );
        fs::write(folder.join("nginx.conf"), config)?;
        Ok(())
    }

    fn launch(&mut self, name: &'static str) -> Result<()> {
        let folder = self.folder.join(name);
        let errors = fs::File::create(folder.join("startup.log"))?;
        let mut command = ns::command(name, "nginx");
        command
            .arg("-p")
            .arg(&folder)
            .arg("-e")
            .arg(folder.join("error.log"));
        command
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stderr(errors);
        let child = command
            .spawn()
            .context("starting nginx (package nginx-light)")?;
        self.running.insert(name, Guard::new(child));
        Ok(())
    }

    /// Kills a server: connections to it are refused from now on.
    pub fn stop(&mut self, name: &'static str) {
        self.running.remove(name);
        self.timeline.note(name, "server stopped");
    }

    /// Starts it again.
    pub fn restart(&mut self, name: &'static str) -> Result<()> {
        self.launch(name)?;
        self.timeline.note(name, "server started");
        Ok(())
    }

    /// All servers running and well again, after a scenario that broke off.
    pub fn heal(&mut self) {
        for host in HOSTS {
            // Not there where the server is well.
            let _ = fs::remove_file(self.folder.join(host.name).join("unwell"));
            if !self.running.contains_key(host.name)
                && let Err(error) = self.launch(host.name)
            {
                eprintln!("testbed: {error:#}");
            }
        }
    }

    /// Makes `/health` of a server answer 200 or 503; all else goes on.
    pub fn set_well(&self, name: &str, is_well: bool) -> Result<()> {
        let flag = self.folder.join(name).join("unwell");
        if is_well {
            fs::remove_file(flag)?;
        } else {
            fs::write(flag, "")?;
        }
        self.timeline.note(
            name,
            if is_well {
                "/health: 200"
            } else {
                "/health: 503"
            },
        );
        Ok(())
    }
}

/// A UDP echo server (RFC 862) in the namespace `name`, for as long as the testbed lives.
fn echo(name: &str) -> Result<()> {
    ns::serve(name, || {
        let socket = UdpSocket::bind(("::", ECHO_PORT)).context("binding the echo port")?;
        let mut bytes = [0; 2048];
        loop {
            // Errors here are ICMP answers to earlier echoes: the next datagram is another matter.
            let Ok((count, from)) = socket.recv_from(&mut bytes) else {
                continue;
            };
            let _ = socket.send_to(bytes.get(..count).unwrap_or_default(), from);
        }
    })
}

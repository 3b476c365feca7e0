import java.io.File;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jgit.errors.RepositoryNotFoundException;
import org.eclipse.jgit.http.server.GitServlet;
import org.eclipse.jgit.storage.file.FileRepositoryBuilder;
import org.eclipse.jgit.transport.ReceivePack;

/** Serves the bare repositories below a folder to everybody, and prints the address that it listens on. */
public class JGitServer {
  public static void main(String[] arguments) throws Exception {
    File root = new File(arguments[0]);
    GitServlet git = new GitServlet();
    git.setRepositoryResolver(
        (request, name) -> {
          File folder = new File(root, name);
          if (!folder.isDirectory()) {
            throw new RepositoryNotFoundException(name);
          }
          try {
            return new FileRepositoryBuilder().setGitDir(folder).build();
          } catch (java.io.IOException error) {
            throw new RepositoryNotFoundException(name, error);
          }
        });
    git.setReceivePackFactory((request, repository) -> new ReceivePack(repository));
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(new ServletHolder(git), "/*");
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    server.addConnector(connector);
    server.setHandler(handler);
    server.start();
    System.out.println("http://127.0.0.1:" + connector.getLocalPort());
    System.out.flush();
    server.join();
  }
}
